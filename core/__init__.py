"""Espalier's engine: explores compression of image classifiers. Knows no Qt."""

__version__ = "0.1.0"
