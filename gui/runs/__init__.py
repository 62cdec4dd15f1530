"""The run under way: session, queue, state, notifications."""
