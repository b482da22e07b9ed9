"""What crosses from training to serving: the model bundle, and the registry that holds bundles."""
