"""Espalier's engine: explores compression of image classifiers. Knows no Qt."""

import os

__version__ = "0.1.0"

# ONNX Runtime reports to its maker from 1.29 on unless told not to, with a thread of its own.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from core.common.former_names import install

install()
