"""The window. It knows the engine; the engine does not know it."""
