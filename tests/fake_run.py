"""The process of a run with an engine that only speaks; what it does stands in ESPALIER_TEST_WORK.

Started by the window as the real one is: `core.engine.run_process` in all but the engine.
"""

import os
import signal
import sys
import time
import types
from pathlib import Path
from typing import Any

from core.common.control import RunControl
from core.common.errors import Stopped
from core.document.stage_keys import stage_keys
from core.engine import run_process
from core.records import events
from core.runs.home import Home
from core.runs.run_folder import RunFolder


class FakeEngine:
    """Says what the real one says."""

    def __init__(self, run: RunFolder, home: Home, options: Any, control: RunControl, beforehand: Any = None):
        self.folder, self.control, self.say = run, control, run.record

    def run(self) -> events.RunDone:
        keys = tuple(stage_keys(self.folder.pipeline))
        resumed = any(True for _ in self.folder.events())
        self.folder.update_info(status="running")
        self.say(events.RunStarted(self.folder.name, str(self.folder.folder), "Tiny", keys, keys, resumed))
        try:
            WORK[os.environ.get("ESPALIER_TEST_WORK", "nothing")](self)
            done = events.RunDone("completed", "All stages are done.")
        except Stopped:
            done = events.RunDone("stopped", "Stopped; every finished epoch is kept.")
        except ZeroDivisionError as error:
            done = events.RunDone("failed", f"It broke: {error}", "Mend it.", "Traceback …")
        self.folder.update_info(status=done.status)
        self.say(done)
        return done


def begin(engine: FakeEngine) -> None:
    engine.say(events.StageStarted("fp32", "FP32", "train", 0, 3))
    engine.say(events.PhaseStarted("fp32", "train", "Training"))
    for epoch in (1, 2):
        metrics = {"train_loss": 1.0 / epoch, "val_loss": 1.0, "val_top1": 40.0 * epoch}
        engine.say(events.EpochDone("fp32", epoch, 9, epoch * 10, metrics, True))


def forever(engine: FakeEngine) -> None:
    begin(engine)
    finished = False
    while True:
        engine.control.checkpoint()
        time.sleep(0.005)
        if not finished and engine.control.take_finish_stage():
            finished = True
            engine.say(events.Note("fp32", "info", "This stage ends soon."))


def breaks(engine: FakeEngine) -> None:
    engine.say(events.StageStarted("fp32", "FP32", "train", 0, 3))
    raise ZeroDivisionError("no")


def bug(engine: FakeEngine) -> None:
    raise RuntimeError("a bug")


def crash(engine: FakeEngine) -> None:
    begin(engine)
    os.kill(os.getpid(), signal.SIGSEGV)


def table(engine: FakeEngine) -> None:
    sys.path.insert(0, str(Path(__file__).parent / "gui"))
    from made_runs import artefact, report

    done = report("fp32", "FP32", "train", artefact("fp32", 80.0, 1.0, 4.0))
    (engine.folder.folder / "stages" / "fp32").mkdir(parents=True)
    engine.folder.write_report(done)
    engine.say(events.StageDone("fp32", False, done.model_dump(mode="json")))
    forever(engine)


def until_told(engine: FakeEngine) -> None:
    """Until somebody puts a file `enough` into the run folder."""
    begin(engine)
    while not (engine.folder.folder / "enough").exists():
        engine.control.checkpoint()
        time.sleep(0.01)


def nothing(engine: FakeEngine) -> None:
    pass


WORK = {work.__name__: work for work in (forever, breaks, bug, crash, table, until_told, nothing)}

if __name__ == "__main__":
    module: Any = types.ModuleType("core.engine.engine")
    module.Engine = FakeEngine
    sys.modules["core.engine.engine"] = module
    sys.exit(run_process.main(sys.argv))
