"""The process that a run works in; the window, the command line and a cluster start the same one.

It takes a run folder and keeps it locked until it ends. Events go to the folder's `events.jsonl`;
commands (pause, resume, stop, finish the stage) come from the folder's `control.jsonl`, to which every
follower of the run may append a line. Followers may start and end at any time; the process does not
depend on them. What libraries print goes to `run.log`.

Its last line on standard output is its `RunDone`, for the program that started it: a run that could
not lock its folder cannot record the reason there.

Unless `stay` is set, it stops when its standard input closes, as it does when its parent ends.
"""

import faulthandler
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.files import file_size
from core.common.logs import passed_over, start_logging
from core.engine.failure import failed
from core.records.events import RunDone, RunPaused
from core.runs.home import Home
from core.runs.run_folder import RunFolder

if TYPE_CHECKING:
    from core.engine.options import Options
    from core.engine.stage_sequence import Beforehand

_log = logging.getLogger("core.engine.run_process")  # also where it is run as a program

CONTROL = "control.jsonl"
LOG = "run.log"
_POLL_SECONDS = 0.1
_LOCK_SECONDS = (
    5.0  # another process may hold the lock briefly to check it, or a stopped run may still be ending
)


class ControlReader:
    """Reads `control.jsonl` on a thread of its own and does what it says.

    A line is `{"do": "pause" | "resume" | "stop" | "finish_stage"}`; anything else is passed over.

    Args:
        since: how many bytes of the file were meant for a process before this one: those that it had when this one was
            started. What came while this one was starting counts.
    """

    def __init__(self, run: RunFolder, control: RunControl, since: int):
        self._run, self._control = run, control
        self._path = run.folder / CONTROL
        self._offset = since
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, name="control", daemon=True)

    def __enter__(self) -> "ControlReader":
        if file_size(self._path) < self._offset:  # the process before has ended meanwhile and removed it
            self._offset = 0
        self._run.update_info(paused=False, process={"pid": os.getpid(), "host": socket.gethostname()})
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()
        self._path.unlink(missing_ok=True)

    def _read(self) -> None:
        while not self._over.wait(_POLL_SECONDS):
            try:
                content = self._path.read_bytes()[self._offset :]
            except OSError:
                continue
            whole = content[: content.rfind(b"\n") + 1]
            self._offset += len(whole)
            for line in whole.splitlines():
                with passed_over(
                    _log, "A line of the control file is no command", ValueError, AttributeError
                ):
                    self._do(json.loads(line).get("do"))

    def _do(self, command: Any) -> None:
        if command == "stop":
            self._control.stop()
        elif command == "finish_stage":
            self._control.finish_stage()
        elif command in ("pause", "resume") and not self._control.stopping:
            (self._control.pause if command == "pause" else self._control.resume)()
            with passed_over(
                _log, "A pause could not be written down", EspalierError, OSError
            ):  # the disk is full
                self._run.update_info(paused=command == "pause")
                self._run.record(RunPaused(command == "pause"))


def work(
    run: RunFolder,
    home: Home,
    options: "Options",
    control: RunControl,
    since: int,
    beforehand: "Beforehand | None" = None,
) -> RunDone:
    """Run the pipeline of `run` under the control of its folder; how it ended. `since` as of `ControlReader`."""
    from core.engine.engine import Engine

    try:
        with run.locked(_LOCK_SECONDS), ControlReader(run, control, since):
            return Engine(run, home, options, control, beforehand=beforehand).run()
    except EspalierError as error:
        return failed(error)
    except OSError as error:
        return RunDone(
            "failed", f"The run folder {run.folder} could not be used: {error}.", "Choose another."
        )


def main(argv: list[str], beforehand: "Callable[[dict[str, Any]], Beforehand] | None" = None) -> int:
    """Entry point; the last word of `argv` is JSON: folder, home, options, stay, commands_since.

    Args:
        beforehand: from the request what the engine does before the first stage.

    Returns: 0 when the run was completed, 1 when it failed, 130 when it was stopped.
    """
    request = json.loads(argv[-1])
    answer = _private_output()
    faulthandler.enable(2)
    control = RunControl()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: control.stop())
    if not request["stay"]:
        threading.Thread(target=_stop_with_parent, args=(control,), name="parent", daemon=True).start()
    from core.engine.options import Options

    run, home = RunFolder(Path(request["folder"])), Home(Path(request["home"]))
    start_logging("run", home.logs)
    first = beforehand(request) if beforehand is not None else None
    done = work(run, home, Options(**request["options"]), control, request["commands_since"], first)
    with passed_over(_log, "Nobody hears how the run ended", OSError, ValueError):
        answer.write(json.dumps(done.as_dict()) + "\n")
        answer.close()
    return {"completed": 0, "stopped": 130}.get(done.status, 1)


def _private_output() -> TextIO:
    """Standard output for the answer alone; what libraries print there goes to the log instead."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answer


def _stop_with_parent(control: RunControl) -> None:
    with passed_over(_log, "The parent is gone", OSError):
        while os.read(0, 1024):  # not by sys.stdin, whose lock would be held when the interpreter ends
            pass
    control.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv))
