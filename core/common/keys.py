"""Keys of plain data: what decides something, hashed."""

import hashlib
import json
from typing import Any


def make_key(parts: dict[str, Any]) -> str:
    """SHA-256 over plain data; the same parts give the same key whatever their order."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, allow_nan=True).encode()).hexdigest()
