"""Run folders, the index of their figures, the caches, the list of runs and its trash."""
