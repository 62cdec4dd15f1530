"""The place where models are tried on a person's own images."""
