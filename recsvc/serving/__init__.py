"""From a request to a slate, with numpy only."""
