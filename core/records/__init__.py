"""What is told and kept of a run: events, progress, metrics, reports."""
