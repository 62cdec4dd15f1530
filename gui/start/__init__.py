"""The place where work begins: recipes, runs from before, things dragged into the window."""
