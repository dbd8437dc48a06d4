"""The resident's chat page and the routes that serve it."""
