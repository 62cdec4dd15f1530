"""Model files that pipelines start from."""

from model_files import few_backbones, weights  # noqa: F401
