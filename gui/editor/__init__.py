"""The place where a pipeline is edited."""
