"""Weights files in the forms that training programs write: the tensors in them, and what else was found. Runs no code.

A file may be a state dict, or hold one beside an optimizer, under one of several usual names, with averaged (EMA)
weights beside the plain ones; or it is the index of a file in several parts.
"""

import argparse
import json
import pickle
import re
import zipfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.common.errors import EspalierError
from core.common.paths import STARTS, shown_name
from core.common.placeholder_files import refuse_stand_in
from core.common.regular_files import open_regular, read_bounded
from core.models.checkpoint_files import INDEX, SAFETENSORS
from core.onnx_graph.class_names import KEYS, names_in

_PLAIN = (
    "state_dict",
    "model",
    "model_state_dict",
    "module",
    "model_state",
    "net",
    "network",
    "weights",
    "params",
    "state",
)
_AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "model_ema_state_dict", "ema", "params_ema", "averaged_model")  # fmt: skip
_NOT_WEIGHTS = (
    "optimizer",
    "optim",
    "scheduler",
    "scaler",
    "loss",
    "criterion",
    "loader",
    "amp",
    "rng",
    "callbacks",
    "hyper",
)
_ABOUT = ("hyper_parameters", "hparams", "args", "config", "cfg", "meta", "metadata", "data")
_PART = re.compile(r"-\d{5}-of-(\d{5})$")
_DEEP = 4  # how many dictionaries may lie in each other
_LARGEST_INDEX = 64_000_000
_FORMS = (b"PK\x03\x04", b"\x80", b"\x8a\x0a")
"""How torch files begin: a zip archive since 1.6, before that a pickle; very old ones with its magic number."""


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """What a weights file holds.

    Attributes:
        tensors: by the names that the file gives them.
        notes: sentences on what else it holds, and which part was taken.
        classes: names in the order of its answers; empty where it has none.
    """

    tensors: dict[str, Tensor]
    notes: list[str] = field(default_factory=list)
    classes: tuple[str, ...] = ()


def read_weights(path: Path, averaged: bool = False) -> WeightsFile:
    """The tensors in a `.safetensors` or torch file, or in the parts that an index lists.

    Args:
        averaged: take averaged (EMA) weights, where the file has them beside the plain ones.

    Raises:
        EspalierError: when the file is missing, unreadable, holds code, or no weights, or not the averaged ones.
    """
    if path.name.endswith(INDEX):
        content: Any = _parts(path)
    else:
        content = _content(path)
    found = _sets(content, shown_name(path))
    return replace(_chosen(found, shown_name(path), averaged), classes=_class_names(content))


def _class_names(content: Any) -> tuple[str, ...]:
    """The class names that training programs put beside the weights, or into what they note of a training."""
    if not isinstance(content, Mapping):
        return ()
    plain = {
        key: vars(value) if isinstance(value, argparse.Namespace) else value for key, value in content.items()
    }
    inner = (value for key, value in plain.items() if key in _ABOUT and isinstance(value, Mapping))
    for place in (content, *inner):
        names = names_in({key: place[key] for key in KEYS if key in place})
        if names:
            return names
    return ()


def part_files(index: Path) -> list[Path]:
    """The files that an index lists, in its folder.

    Raises:
        EspalierError: when it is no index, or a part is missing.
    """
    try:
        names = sorted(set(json.loads(read_bounded(index, _LARGEST_INDEX))["weight_map"].values()))
        if not names or any(Path(str(name)).name != name for name in names):
            raise ValueError(f"the parts are called {names[:3]}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise EspalierError(
            f"Expected the list of a weights file's parts in {index.name}, found none that can be read.",
            "Download it again, or pick the weights file itself.",
            repr(error),
        ) from error
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing:
        raise EspalierError(
            f"{index.name} lists {len(names)} parts, and {len(missing)} are not beside it: {', '.join(missing[:3])}.",
            "Put all parts into one folder with it.",
        )
    return [index.parent / name for name in names]


def _parts(index: Path) -> dict[str, Any]:
    tensors: dict[str, Any] = {}
    for file in part_files(index):
        tensors |= _content(file, part=True)
    return tensors


def _content(path: Path, part: bool = False) -> Any:
    """What the file holds, as plain data and tensors."""
    if not path.is_file():
        raise EspalierError(
            f"Expected a weights file, found none at {path}.",
            f"Put it there, or set its path to where it is; {STARTS}.",
        )
    if not part and (many := _PART.search(path.stem)) and int(many[1]) > 1:
        raise EspalierError(
            f"{shown_name(path)} is one of {int(many[1])} parts of a weights file.",
            f"Pick the file that lists them, whose name ends in {INDEX}.",
        )
    refuse_stand_in(path, "a weights file")
    try:
        with open_regular(path) as file:
            start = file.read(16)
        if _is_safetensors(path, start):
            from safetensors.torch import load_file

            return load_file(path)
        if start.startswith(_FORMS):
            _refuse_program(path)
            with _plain_values(), open_regular(path) as file:  # by a path torch would go by its ending
                return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise EspalierError(
            f"{shown_name(path)} holds more than weights, and opening it could run code, so it was not opened.",
            "Save the model's state_dict() by itself, or as .safetensors, and pick that file.",
            str(error),
        ) from error
    except EspalierError:
        raise
    except Exception as error:
        raise EspalierError(
            f"{shown_name(path)} cannot be read as a weights file: it is cut off, damaged, or of another kind than its ending says.",
            "Copy or download it again, or pick another file.",
            repr(error),
        ) from error
    raise EspalierError(
        f"Expected a weights file, but {shown_name(path)} is none: it begins with neither of the forms that torch writes.",
        "Pick the file that torch.save or safetensors wrote.",
    )


def _is_safetensors(path: Path, start: bytes) -> bool:
    """Whether it is one by its beginning, the length of a JSON text and that text; by its name where torch wrote none."""
    length = int.from_bytes(start[:8], "little")
    if start[8:9] == b"{" and length < path.stat().st_size:
        return True
    return path.suffix == SAFETENSORS and not start.startswith(_FORMS)


def _refuse_program(path: Path) -> None:
    """Nothing for a torch file that holds no program.

    Raises:
        EspalierError: it is TorchScript.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        if any("/code/" in name for name in archive.namelist()):
            raise EspalierError(
                f"{shown_name(path)} is a TorchScript program, not a weights file, and opening it could run code.",
                "Save the model's state_dict() by itself and pick that file.",
            )


def _plain_values() -> AbstractContextManager[Any]:
    """Let torch read plain values that training programs keep beside weights: settings, and NumPy's numbers."""
    scalar = np._core.multiarray.scalar  # type: ignore[attr-defined]
    kinds = {type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "?")}
    safe = [argparse.Namespace, np.dtype, *kinds, (scalar, "numpy.core.multiarray.scalar"), (scalar, "numpy._core.multiarray.scalar")]  # fmt: skip
    context: AbstractContextManager[Any] = torch.serialization.safe_globals(safe)
    return context


def _sets(content: Any, name: str, deep: int = 0) -> dict[str, dict[str, Tensor]]:
    """Every set of tensors in a file by the name it goes by; "" for one that is the file itself.

    Raises:
        EspalierError: when there is none.
    """
    if not isinstance(content, Mapping):
        raise EspalierError(
            f"Expected a state dict (names and tensors) in {name}, received {type(content).__name__}.",
            "Save the model's state_dict() and pick that file.",
        )
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    found = {"": tensors} if tensors else {}
    for key, value in content.items():
        if isinstance(value, Mapping) and deep < _DEEP and not str(key).lower().startswith(_NOT_WEIGHTS):
            inner = _inner(value, deep + 1)
            if inner:
                found[str(key)] = inner
    _part_averaged(found)
    if not found:
        keys = ", ".join(str(key) for key in list(content)[:6]) or "nothing"
        raise EspalierError(
            f"Expected a state dict (names and tensors) in {name}, which holds {keys}.",
            "Save the model's state_dict() and pick that file.",
        )
    return found


def _part_averaged(found: dict[str, dict[str, Tensor]]) -> None:
    """Make averaged weights that lie among others, told by the beginnings of their names, a set of their own."""
    for key, tensors in list(found.items()):
        for name in _AVERAGED:
            part = {each: tensor for each, tensor in tensors.items() if each.startswith(f"{name}.")}
            if part and len(part) < len(tensors) and name not in found:
                found[name] = part
                found[key] = {each: tensor for each, tensor in tensors.items() if each not in part}


def merge(index: Path, target: Path) -> None:
    """Write the parts that an index lists as one `.safetensors` file. Errors as of `read_weights`."""
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in read_weights(index).tensors.items()}, target)


def _inner(content: Mapping[Any, Any], deep: int) -> dict[str, Tensor]:
    """The tensors of a dictionary inside of a file, its own or those of the one set in it."""
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    if tensors or deep >= _DEEP:
        return tensors
    sets = {str(key): _inner(value, deep + 1) for key, value in content.items() if isinstance(value, Mapping)}
    usual = [sets[key] for key in _PLAIN if sets.get(key)]
    filled = [one for one in sets.values() if one]
    return usual[0] if usual else filled[0] if len(filled) == 1 else {}


def _chosen(found: dict[str, dict[str, Tensor]], name: str, averaged: bool) -> WeightsFile:
    ema = next((key for key in _AVERAGED if key in found), "")
    others = [key for key in found if key != ema or not key]
    plain = next((key for key in _PLAIN if key in found), "" if "" in found else None)
    if averaged:
        if not ema:
            raise EspalierError(
                f"Expected averaged weights (EMA) in {name}, which holds {_listed(found)}.",
                "Switch off 'Averaged weights', or pick another file.",
            )
        return WeightsFile(_named(found[ema], name), [f"The averaged weights ({ema}) of {name} were taken."])
    if plain is None:
        if len(others) > 1:
            raise EspalierError(
                f"{name} holds several sets of weights: {', '.join(others)}.",
                "Save the one to start from by itself, and pick that file.",
            )
        plain = others[0] if others else ema
    notes = []
    if ema and plain == ema:
        notes.append(f"{name} holds averaged weights ({ema}) only; they were taken.")
    elif ema:
        notes.append(
            f"{name} also holds averaged weights ({ema}), often the better ones; the plain ones ({plain or 'the file itself'}) "
            "were taken. 'Averaged weights' takes those."
        )
    return WeightsFile(_named(found[plain], name), notes)


def _listed(found: Mapping[str, Any]) -> str:
    return ", ".join(key or "a state dict" for key in found)


def _named(tensors: dict[str, Tensor], file: str) -> dict[str, Tensor]:
    """Without what wrappers put into names (compiled modules, the count of an average), and sparse tensors written out.

    Raises:
        EspalierError: when some have no values.
    """
    empty = [name for name, tensor in tensors.items() if tensor.is_meta]
    if empty:
        raise EspalierError(
            f"{file} holds names and shapes only: {len(empty)} of its {len(tensors)} tensors have no values ({empty[0]}, …).",
            "Save the state_dict() of the network once its weights are loaded, and not from the 'meta' device.",
        )
    return {
        name.replace("_orig_mod.", ""): tensor if tensor.layout == torch.strided else tensor.to_dense()
        for name, tensor in tensors.items()
        if name != "n_averaged"
    }
