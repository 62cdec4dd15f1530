"""Stages that a person finished by hand: an equal stage of a later run is trained in full, and says so.

Such a stage trained fewer steps than its pipeline asks for. Its result stands in the cache under a key of its own, so that
no other run takes it for the whole; beside it is noted in which run it stands.
"""

from pathlib import Path

from core.common.content_hashes import read_sealed, write_sealed
from core.common.keys import make_key
from core.engine.stage_inputs import RunContext
from core.records.events import Note

_FILE = "finished.json"


class FinishedByHand:
    """What is noted of them, by the key that their whole result would have."""

    def __init__(self, context: RunContext):
        self._context, self._store = context, context.store("finished")

    def remember(self, cache_key: str, notes: list[str]) -> None:
        """Note that a person finished this stage of this run; `notes` are those of its result."""
        told = {
            "run": self._context.run.name,
            "how": next((note for note in notes if "finished by hand" in note), ""),
        }

        def write(folder: Path) -> None:
            write_sealed(folder / _FILE, told)

        name = self._name(cache_key)
        self._store.remove(name)
        self._store.add(name, write)

    def tell(self, stage: str, title: str, cache_key: str) -> None:
        """Say, before a stage is made, that an earlier run has it finished by hand."""
        entry = self._store.get(self._name(cache_key))
        if entry is None:
            return
        told = read_sealed(entry / _FILE)
        how = str(told["how"]).rpartition(": ")[2].removesuffix(".") or "finished by hand"
        self._context.emit(
            Note(
                stage,
                "info",
                f"{title!r} was {how} in the run {told['run']!r}, which keeps that result. "
                "It trained less than this pipeline asks for, so the stage is trained anew.",
            )
        )

    @staticmethod
    def _name(cache_key: str) -> str:
        return make_key({"key": cache_key, "finished": "by hand"})
