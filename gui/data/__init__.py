"""The place where the data set is chosen, seen and checked."""
