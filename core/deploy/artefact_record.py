"""The record of a stage's files: what they are, how they were verified, what was counted on them."""

import json
import logging
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from core.common.content_hashes import DamagedError, intact
from core.common.files import write_atomically
from core.common.logs import in_a_line
from core.common.paths import inside
from core.deploy.artefact_folder import ArtefactFolder
from core.deploy.artefacts import VerifiedArtefact
from core.records.reports import Verification

_log = logging.getLogger(__name__)

_PATHS = ("path", "logits", "reference", "labels")


@dataclass(slots=True)
class ArtefactRecord:
    """The verified files of one stage, the headline first.

    Attributes:
        counts: parameters and MACs of the first one's graph. notes: files that could not be made, and why.
    """

    artefacts: list[VerifiedArtefact]
    counts: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    def write(self, folder: ArtefactFolder) -> None:
        """Write the record; the files lie in the folder already."""
        plain = [
            {
                **asdict(one),
                "verification": one.verification.model_dump(),
                **{n: getattr(one, n).name for n in _PATHS},
            }
            for one in self.artefacts
        ]
        write_atomically(
            folder.record, json.dumps({"made": plain, "counts": self.counts, "notes": self.notes})
        )

    @classmethod
    def read(cls, folder: ArtefactFolder) -> "ArtefactRecord":
        """What `write` wrote.

        Raises:
            DamagedError: when it does not hold that any more.
        """
        try:
            return cls._from_plain(json.loads(intact(folder.record).read_text(encoding="utf-8")), folder)
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedError(folder.record, "it is no record of a stage's files") from error

    @classmethod
    def _from_plain(cls, plain: dict[str, Any], folder: ArtefactFolder) -> "ArtefactRecord":
        names = {entry.name for entry in fields(VerifiedArtefact)}
        artefacts = []
        for one in plain["made"]:
            one |= {name: inside(folder.path, one[name]) for name in _PATHS} | {
                "verification": Verification.model_validate(one["verification"])
            }
            artefacts.append(
                VerifiedArtefact(**{name: value for name, value in one.items() if name in names})
            )
        return cls(artefacts, plain["counts"], plain["notes"])


def facts_of_file(file: Path) -> dict[str, Any]:
    """What the record beside a stage's file says of it (opset, nodes, classes, input size, preprocess); empty where it is gone."""
    try:
        plain = json.loads(intact(ArtefactFolder.around(file).record).read_text(encoding="utf-8"))
        return next((dict(one["facts"]) for one in plain["made"] if one["path"] == file.name), {})
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.debug("Nothing is recorded of %s: %s", file, in_a_line(error))
        return {}
