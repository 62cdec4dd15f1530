"""Compression techniques, one file each; `catalogue` names them."""
