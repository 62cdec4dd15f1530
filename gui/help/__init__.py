"""The user guide and the reference, beside the work."""
