"""The place where a run is watched."""
