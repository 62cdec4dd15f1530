"""What every package uses: errors, settings, files, texts."""
