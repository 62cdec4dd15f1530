"""Changing the structure of a network: groups of coupled channels, importances, blocks, statistics."""
