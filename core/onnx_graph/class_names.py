"""Class names that an ONNX file carries in its metadata, in the forms that tools write."""

import ast
import json
import re
from collections.abc import Mapping
from typing import Any

_KEYS = ("classes", "names", "class_names", "labels", "id2label", "class_labels", "categories")
_LONGEST = 2_000_000  # characters; ImageNet's 21 841 names take 500 000


def class_names(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The names in the order of the logits; empty where there are none that can be read.

    A list or a mapping from number to name, as JSON or as Python writes it; or names between commas or lines.
    """
    for key in _KEYS:
        text = metadata.get(key, "").strip()
        if text and len(text) <= _LONGEST and (names := _read(text)):
            return names
    return ()


def _read(text: str) -> tuple[str, ...]:
    content = _parsed(text)
    if isinstance(content, dict):
        try:
            numbered = {int(key): str(value) for key, value in content.items()}
        except (TypeError, ValueError):
            return ()
        in_order = sorted(numbered) == list(range(len(numbered)))
        return tuple(numbered[index] for index in range(len(numbered))) if in_order else ()
    if isinstance(content, list | tuple):
        return tuple(str(name) for name in content)
    parts = [part.strip() for part in re.split(r"[\n,;]", text)]
    return tuple(parts) if len(parts) > 1 and all(parts) else ()


def _parsed(text: str) -> Any:
    if text[0] not in "[{(":
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)  # reads literals only, runs nothing
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
