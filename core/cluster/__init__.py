"""Stages on several machines, by Dask's `distributed` (the extra `espalier[cluster]`)."""
