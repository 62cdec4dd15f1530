"""Runs a pipeline: stages made, judged, measured; grids, checks and estimates."""
