"""What every place of the window uses: document, worker, messages, theme, translation."""
