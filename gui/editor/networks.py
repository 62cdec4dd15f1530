"""Networks that earlier runs left: to start from, or to learn from."""

import logging
import time
from functools import lru_cache
from pathlib import Path

from core.common.errors import EspalierError
from core.document.stage_keys import id_of
from core.runs.finding import find_runs
from core.runs.home import Home
from core.runs.run_folder import RunFolder
from gui.base.translation import tr
from gui.widgets.fields import Option

_log = logging.getLogger(__name__)

_RUNS = 12


def finished_networks(home: Home) -> list[Option]:
    """Checkpoints of the newest runs' stages, newest run first."""
    networks: list[Option] = []
    for run in find_runs(home)[:_RUNS]:
        checkpoints = tuple(stage.network for stage in run.stage_folders() if stage.network is not None)
        networks += _of_run(run.folder, checkpoints)
    return networks


@lru_cache(maxsize=64)
def _of_run(folder: Path, checkpoints: tuple[Path, ...]) -> list[Option]:
    """Cached until a stage has finished: reading a run's document takes some milliseconds."""
    run = RunFolder(folder)
    try:
        info, pipeline = run.info, run.pipeline
    except EspalierError as error:
        _log.debug("A run's networks are not offered: %s", error.message)
        return []
    when = time.strftime("%d %b, %H:%M", time.localtime(info.started))
    names = {node.id: node.title for node in pipeline.stages}
    return [
        Option(
            str(checkpoint),
            f"{names.get(id_of(key), key)} · {info.name or folder.name} · {when}",
            tr("The network in {checkpoint}.", checkpoint=checkpoint),
        )
        for checkpoint in checkpoints
        for key in (checkpoint.parent.name,)
    ]
