"""What a pipeline can start from: one file a kind, and a catalogue of them. Readable without torch."""
