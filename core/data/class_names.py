"""Names of classes: which are the same, and in what order they stand.

The order decides which output of a network means which class, so it is taken from one place only: the data
set's settings (`DataSettings.class_order`).
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

ClassOrder = Literal["auto", "text", "number"]
"""auto: as the source orders them. text: by code points, as torchvision does. number: numbers by their value."""


def alike(name: str) -> str:
    """What two spellings of one name share: accents composed or not, capitals, what separates words."""
    return re.sub(r"(?<=[^\W_])[\s_-]+(?=[^\W_])", " ", composed(name).casefold().strip())


def composed(name: str) -> str:
    """The name with accents composed: the same on every file system."""
    return unicodedata.normalize("NFC", name)


def ordered(classes: Sequence[str], order: ClassOrder, numbers: bool = False) -> tuple[str, ...]:
    """The classes in the order that the settings want.

    Args:
        classes: as the source orders them.
        numbers: whether "auto" orders names that are all numbers by their value.
    """
    if order == "text":
        return tuple(sorted(classes))
    if order == "auto" and not numbers:
        return tuple(classes)
    if all(re.fullmatch(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?", name) for name in classes):
        return tuple(sorted(classes, key=lambda name: (float(name), name)))
    return tuple(sorted(classes, key=_natural)) if order == "number" else tuple(classes)


def order_words(classes: Sequence[str]) -> str:
    """In what order classes stand, with its first ones, for a person."""
    if tuple(classes) == ordered(classes, "text"):
        kind = "as text, as torchvision orders folders"
    elif tuple(classes) == ordered(classes, "number"):
        kind = "by number"
    else:
        kind = "as the data set lists them"
    return f"{kind} ({', '.join(classes[:4])}{', …' if len(classes) > 4 else ''})"


def order_notes(classes: Sequence[str]) -> tuple[str, ...]:
    """A sentence where ordering as text and by number differ: a file may have been made in either order."""
    if ordered(classes, "text") == ordered(classes, "number"):
        return ()
    return (f"The classes are ordered {order_words(classes)}; the setting Class order changes that.",)


def matched(names: Sequence[str], classes: Sequence[str]) -> list[int] | None:
    """For each of `classes` its place among `names`; None where they do not name the same classes.

    Exact names first; where these differ, spellings that `alike` calls the same, then the same words with
    something else between them, if each has one partner.
    """
    if len(names) != len(classes):
        return None
    for form in _FORMS:
        places = {form(name): place for place, name in enumerate(names)}
        wanted = [form(name) for name in classes]
        if len(places) == len(names) and len(set(wanted)) == len(wanted) and set(wanted) == places.keys():
            return [places[name] for name in wanted]
    return None


def _as_it_is(name: str) -> str:
    return name


def _words(name: str) -> str:
    """The words alone: "golden_retriever" is the "Golden retriever"."""
    return re.sub(r"[\W_]+", " ", alike(name)).strip()


_FORMS: tuple[Callable[[str], str], ...] = (_as_it_is, composed, alike, _words)


def _natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key that orders "class 2" before "class 10"; numbers come before letters."""
    parts: Iterable[str] = re.split(r"([0-9]{1,18})", name)
    key = tuple(
        (0, int(part), "") if part.isascii() and part.isdigit() else (1, 0, part) for part in parts if part
    )
    return (*key, (2, 0, name))


class Spellings:
    """The classes that training images name, and what other spellings belong to.

    Attributes:
        classes: in the order of their code points.
    """

    def __init__(self, trained: Iterable[str]):
        forms: defaultdict[str, set[str]] = defaultdict(set)
        for name in set(trained):
            forms[composed(name)].add(name)
        # One spelling is kept as it is, so that the order of files made elsewhere stays.
        self._classes = {
            form: next(iter(names)) if len(names) == 1 else form for form, names in forms.items()
        }
        self.classes = tuple(sorted(self._classes.values()))
        self._near: dict[str, list[str]] = {}
        for name in self.classes:
            self._near.setdefault(alike(name), []).append(name)
        self._taken_for: dict[str, str] = {}

    def class_of(self, name: str) -> str | None:
        """The class that a name means; None where training images have none like it."""
        known = self._classes.get(composed(name))
        if known is not None:
            return known
        near = self._near.get(alike(name), [])
        if len(near) != 1:
            return None
        self._taken_for[name] = near[0]
        return near[0]

    def notes(self) -> list[str]:
        """What names were taken for others, and classes that differ in their spelling only."""
        notes = [
            f"'{name}' is taken for the class '{meant}': the training images spell it so."
            for name, meant in sorted(self._taken_for.items())[:8]
        ]
        for names in self._near.values():
            if len(names) > 1:
                listed = " and ".join(f"'{name}'" for name in names)
                notes.append(
                    f"The classes {listed} differ in capitals or separators only; they are kept apart."
                )
        return notes
