"""TimingDecisions about stages that depend on timing: taken once, and written down.

They stand in the run folder, so that a run which goes on keeps them, and among the measurements of the
machine, so that another run of the same stage decides the same.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.common.content_hashes import read_sealed, write_sealed
from core.runs.cache import Measurements

PROTOCOL = 5
"""Of measuring, when decisions were first kept: a later one would make no other, so none is taken anew."""

_log = logging.getLogger(__name__)


class TimingDecisions:
    """What one run has decided of one kind.

    Args:
        file: where it stands in the run folder, JSON by the name of the stage.
    """

    def __init__(self, file: Path, memory: Measurements):
        self._file, self._memory = file, memory

    def taken(
        self, stage: str, key: Callable[[], dict[str, Any]], decide: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """The decision about a stage, as plain data: this run's, else this machine's, else taken now.

        Args:
            key: everything but the machine that the decision depends on.
        """
        decisions = read_sealed(self._file) if self._file.is_file() else {}
        if stage not in decisions:
            decisions[stage], cached = self._memory.get_or_measure({"protocol": PROTOCOL, **key()}, decide)
            how = "as this machine decided before" if cached else "by timing, now"
            _log.info("Settled for %s %s (%s).", stage, how, self._file.name)
            write_sealed(self._file, decisions)
        return dict(decisions[stage])
