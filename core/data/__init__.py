"""Data sets: where images come from, how they are split, cached, batched and augmented."""
