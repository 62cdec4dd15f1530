"""What a person decided about this computer, and where it is changed."""
