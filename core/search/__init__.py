"""Searching a pipeline's free settings: what Optuna is asked, what trials gave, which of them are best.

`core.engine.search_run` makes the trials. Everything here but `sampling` is readable without Optuna, for the window.
"""
