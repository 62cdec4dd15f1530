"""What the numbers mean: accuracy with its uncertainty, tables, comparisons."""
