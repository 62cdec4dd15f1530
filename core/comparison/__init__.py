"""Runs side by side, their report, and measurements from other devices."""
