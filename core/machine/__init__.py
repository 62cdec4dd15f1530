"""This machine and its processes: fingerprint, load, optional packages, trusted files, child processes."""
