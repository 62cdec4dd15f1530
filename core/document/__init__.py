"""The pipeline document: load, check, edit, save."""
