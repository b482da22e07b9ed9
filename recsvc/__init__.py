"""recsvc: a personalised recommendation microservice.

Events become interactions, interactions train a bundle, the bundle is published to a registry,
the engine serves it, the experiment judges it.
"""

__version__ = "0.1.0"
