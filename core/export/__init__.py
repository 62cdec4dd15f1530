"""Exporting a stage's model, its card, and the ladder of checks."""
