"""The one training loop, its settings, precision and distillation."""
