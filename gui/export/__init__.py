"""The place where a finished stage is exported."""
