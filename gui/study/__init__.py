"""The place of a search: its trials, the front as it grows, what the settings weigh, and what to do with a trial."""
