"""Class names that an ONNX file carries in its metadata, or that lie beside it, in the forms that tools write."""

import ast
import json
import logging
import re
from collections.abc import Mapping, Sequence
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
    "label2id",
    "class_labels",
    "label_names",
    "categories",
    "class_to_idx",
    "idx_to_class",
    "class_dict",
    "class_mapping",
    "label_map",
    "index_to_name",
)
_WHOLE = ("config", "model_config", "metadata", "hyper_parameters")
"""Keys of mappings that hold more than class names."""
_NAME_KEYS, _NUMBER_KEYS = ("name", "label", "title", "class"), ("id", "index", "idx", "class_id")
_LONGEST = 2_000_000  # characters; ImageNet's 21 841 names take 500 000


def class_names(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The names in the order of the logits; empty where there are none that can be read.

    A list or a mapping from number to name, as JSON or as Python writes it; or names between commas or lines. Keys count
    however they are spelled ("classNames").
    """
    for key in (*KEYS, *_WHOLE):
        text = str(_at(metadata, key) or "").strip()
        if not text or len(text) > _LONGEST:
            continue
        if names := (names_in(_parsed(text)) if key in _WHOLE else _read(text)):
            return names
    return ()


def _at(content: Mapping[Any, Any], key: str) -> Any:
    """The value of a key, or of one that is spelled otherwise; None where there is none."""
    if key in content:
        return content[key]
    return next((value for other, value in content.items() if _plain(other) == _plain(key)), None)


def _plain(key: Any) -> str:
    return re.sub(r"[^a-z0-9]", "", str(key).casefold())


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
            (value for key in KEYS if isinstance(value := _at(content, key), dict | list | tuple)), content
        )
        content = _by_number(inner) if isinstance(inner, Mapping) else inner
    if isinstance(content, list | tuple) and content and all(isinstance(one, Mapping) for one in content):
        content = _of_entries(content)
    if isinstance(content, list | tuple) and all(isinstance(name, str | int) for name in content):
        return tuple(str(name) for name in content)
    return ()


def _read(text: str) -> tuple[str, ...]:
    content = _parsed(text)
    if content is not None:
        return names_in(content)
    parts = [part.strip() for part in re.split(r"[\n,;|\t]", text)]
    return tuple(parts) if len(parts) > 1 and all(parts) else ()


def _by_number(content: Mapping[Any, Any]) -> list[str]:
    """A mapping from number to name, or from name to number, as a list; empty where numbers are missing."""
    if content and all(type(value) is int for value in content.values()):
        content = {number: name for name, number in content.items()}
    try:
        numbered = {int(key): str(value) for key, value in content.items()}
    except (TypeError, ValueError):
        return []
    first = min(numbered, default=0)
    in_order = first in (0, 1) and sorted(numbered) == list(range(first, first + len(numbered)))
    return [numbered[number] for number in sorted(numbered)] if in_order else []


def _of_entries(entries: Sequence[Mapping[Any, Any]]) -> list[str]:
    """Of entries such as {"id": 1, "name": "cat"}: by their numbers, or as they stand where they have none."""
    named = [next((entry[key] for key in _NAME_KEYS if key in entry), None) for entry in entries]
    if not all(isinstance(name, str | int) for name in named):
        return []
    numbers = [next((entry[key] for key in _NUMBER_KEYS if key in entry), None) for entry in entries]
    if all(number is None for number in numbers):
        return [str(name) for name in named]
    return (
        _by_number(dict(zip(numbers, named, strict=True)))
        if len(set(map(str, numbers))) == len(named)
        else []
    )


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
