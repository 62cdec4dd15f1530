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
}  # fmt: skip
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
                found.update(roles)
    return found


def _read(name: str) -> tuple[int | None, tuple[str, ...]]:
    """The split that a name says, and its words that say something else."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFC", name))
    words = re.findall(r"[^\W\d_]+", spaced.casefold())
    roles: set[int] = set()
    rest = []
    for word in words:
        glued = _GLUED.fullmatch(word)
        if glued is not None:
            roles.add(_WORDS[glued[1]])
        elif word not in _FILLERS:
            rest.append(word)
    if roles == {TRAIN, VALIDATION}:  # "train_val": both, from which validation is drawn
        return TRAIN, tuple(rest)
    return (roles.pop() if len(roles) == 1 else None), tuple(rest)
