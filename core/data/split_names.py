"""What people call training, validation and test: folders, and values in lists.

A name is taken to words: "Training_Set", "train2017" and "trainImages" all say training. Words that only
say that there are images ("set", "data") do not count. Other words ("seg_train", "seg_test") are accepted
where folders beside each other share them.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

from core.data.splits import TEST, TRAIN, VALIDATION

_WORDS: dict[str, int] = {
    "train": TRAIN, "training": TRAIN, "trn": TRAIN, "trainval": TRAIN,
    "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION, "dev": VALIDATION, "eval": VALIDATION,
    "evaluation": VALIDATION, "test": TEST, "testing": TEST, "tst": TEST, "holdout": TEST,
    # German, French, Spanish, Portuguese, Italian, Chinese
    "trainingsdaten": TRAIN, "entraînement": TRAIN, "entrainement": TRAIN, "apprentissage": TRAIN,
    "entrenamiento": TRAIN, "treino": TRAIN, "treinamento": TRAIN, "addestramento": TRAIN, "训练": TRAIN, "训练集": TRAIN,
    "validierung": VALIDATION, "validierungsdaten": VALIDATION, "validación": VALIDATION, "validacion": VALIDATION,
    "validação": VALIDATION, "validacao": VALIDATION, "validazione": VALIDATION, "验证": VALIDATION, "验证集": VALIDATION,
    "testdaten": TEST, "prueba": TEST, "pruebas": TEST, "teste": TEST, "测试": TEST, "测试集": TEST,
}  # fmt: skip
_EVALUATION = frozenset(["eval", "evaluation"])
"""Validation where it stands alone; the test split beside another folder of validation images."""
_UNION = "trainval"
_FILLERS = frozenset(
    [
        "data",
        "dataset",
        "dataset",
        "files",
        "folder",
        "folders",
        "image",
        "images",
        "img",
        "imgs",
        "jpg",
        "jpeg",
        "photos",
        "pics",
        "pictures",
        "png",
        "private",
        "public",
        "samples",
        "set",
        "sets",
        "split",
        "splits",
    ]
)
_GLUED = re.compile(rf"({'|'.join(sorted(_WORDS, key=len, reverse=True))})({'|'.join(_FILLERS)})?")


def split_of(name: str) -> int | None:
    """The split that a folder's name or a list's value says; None where it says none, or that and more."""
    role, rest = _read(name)
    return role if not rest else None


def split_folders(siblings: Iterable[Iterable[str]]) -> dict[str, int]:
    """The split of every folder name that says one.

    Args:
        siblings: the names of folders that lie beside each other, for every folder that holds some.
    """
    found: dict[str, int] = {}
    for names in siblings:
        sharing: defaultdict[tuple[str, ...], dict[str, int]] = defaultdict(dict)
        for name in names:
            role, rest = _read(name)
            if role is not None:
                sharing[rest][name] = role
        for rest, roles in sharing.items():
            # "train station" says nothing; "seg train" beside "seg test" does.
            if not rest or (TRAIN in roles.values() and len(set(roles.values())) > 1):
                found.update(_beside_each_other(roles))
    return found


def splits_of(names: Iterable[str]) -> dict[str, int | None]:
    """What `split_of` says of each name, seen from the names beside it."""
    roles = {name: split_of(name) for name in names}
    known = {name: role for name, role in roles.items() if role is not None}
    beside = _beside_each_other(known)
    return {name: beside.get(name) for name in roles}


def _beside_each_other(roles: dict[str, int]) -> dict[str, int]:
    """The splits where some names mean something else because of others.

    "Evaluation" beside "validation" is the test split where nothing else is; "trainval" beside "train" holds the same
    images as that and "val", and says no split.
    """
    evaluating = {name for name in roles if _EVALUATION & set(_spelled(name))}
    validating = {name for name, role in roles.items() if role == VALIDATION} - evaluating
    if evaluating and validating and TEST not in roles.values():
        roles = {name: TEST if name in evaluating else role for name, role in roles.items()}
    unions = {name for name in roles if _is_union(name)}
    if {name for name, role in roles.items() if role == TRAIN} - unions:
        roles = {name: role for name, role in roles.items() if name not in unions}
    return roles


def _is_union(name: str) -> bool:
    """Whether a name says training and validation at once: "trainval", "train_val"."""
    words = _spelled(name)
    return _UNION in words or {_WORDS.get(word) for word in words} >= {TRAIN, VALIDATION}


def _spelled(name: str) -> list[str]:
    """The words of a name, those of splits without what is glued to them."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFC", name))
    words = re.findall(r"[^\W\d_]+", spaced.casefold())
    return [glued[1] if (glued := _GLUED.fullmatch(word)) else word for word in words]


def _read(name: str) -> tuple[int | None, tuple[str, ...]]:
    """The split that a name says, and its words that say something else."""
    words = _spelled(name)
    roles = {_WORDS[word] for word in words if word in _WORDS}
    rest = tuple(word for word in words if word not in _WORDS and word not in _FILLERS)
    if roles == {TRAIN, VALIDATION}:  # "train_val": both, from which validation is drawn
        return TRAIN, rest
    return (roles.pop() if len(roles) == 1 else None), rest
