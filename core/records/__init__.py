"""What is reported and stored of a run: events, progress, metrics, reports."""
