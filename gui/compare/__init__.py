"""The place where stages are compared."""
