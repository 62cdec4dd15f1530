"""Class names that an ONNX file carries in its metadata, or that lie beside it, in the forms that tools write."""

import ast
import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.common.logs import passed_over
from core.common.regular_files import read_text

_log = logging.getLogger(__name__)

BESIDE = (
    "{stem}.txt", "{stem}.names", "{stem}.json", "{stem}_labels.txt", "{stem}.labels.txt", "labels.txt", "classes.txt",
    "class_names.txt", "classes.names", "labels.json", "classes.json", "class_names.json", "class_indices.json",
    "class_to_idx.json", "id2label.json", "config.json",
)  # fmt: skip
"""Files beside a model that tools write its class names into, the model's own ones first."""
KEYS = (
    "classes",
    "names",
    "class_names",
    "labels",
    "id2label",
    "class_labels",
    "categories",
    "class_to_idx",
    "idx_to_class",
)
_LONGEST = 2_000_000  # characters; ImageNet's 21 841 names take 500 000


def class_names(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The names in the order of the logits; empty where there are none that can be read.

    A list or a mapping from number to name, as JSON or as Python writes it; or names between commas or lines.
    """
    for key in KEYS:
        text = metadata.get(key, "").strip()
        if text and len(text) <= _LONGEST and (names := _read(text)):
            return names
    return ()


def names_beside(model: Path) -> list[tuple[str, tuple[str, ...]]]:
    """Files beside a model that hold class names, and the names in the order of the logits.

    A name a line, with or without its number; or JSON: a list, or a mapping from number to name or the other way
    round.
    """
    found = []
    for pattern in BESIDE:
        file = model.with_name(pattern.format(stem=model.stem))
        with passed_over(_log, f"{file} is not read as class names", OSError, UnicodeDecodeError):
            text = read_text(file, _LONGEST).strip().removeprefix("\ufeff")
            names = _read(text) if text[:1] in ("[", "{") else _lines(text)
            if len(names) > 1:
                found.append((file.name, names))
    return found


def _lines(text: str) -> tuple[str, ...]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    numbered = [re.fullmatch(r"(\d+)[\s:,;]+(\S.*)", line) for line in lines]
    if all(numbered) and [int(one[1]) for one in numbered if one] == list(range(len(lines))):
        return tuple(one[2] for one in numbered if one)
    return tuple(lines)


def names_in(content: Any) -> tuple[str, ...]:
    """Class names in plain data: a list, a mapping between number and name, or a mapping that has one of these under a
    usual key; empty where there are none."""
    if isinstance(content, Mapping):
        inner = next(
            (content[key] for key in KEYS if isinstance(content.get(key), dict | list | tuple)), content
        )
        content = _by_number(inner) if isinstance(inner, Mapping) else inner
    if isinstance(content, list | tuple) and all(isinstance(name, str | int) for name in content):
        return tuple(str(name) for name in content)
    return ()


def _read(text: str) -> tuple[str, ...]:
    content = _parsed(text)
    if content is not None:
        return names_in(content)
    parts = [part.strip() for part in re.split(r"[\n,;]", text)]
    return tuple(parts) if len(parts) > 1 and all(parts) else ()


def _by_number(content: Mapping[Any, Any]) -> list[str]:
    """A mapping from number to name, or from name to number, as a list; empty where numbers are missing."""
    if content and all(type(value) is int for value in content.values()):
        content = {number: name for name, number in content.items()}
    try:
        numbered = {int(key): str(value) for key, value in content.items()}
    except (TypeError, ValueError):
        return []
    in_order = sorted(numbered) == list(range(len(numbered)))
    return [numbered[index] for index in range(len(numbered))] if in_order else []


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
