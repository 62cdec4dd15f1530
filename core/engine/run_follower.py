"""Starts the process of a run, or finds it at work, and follows it: reads its events, sends it commands.

Any number of followers may watch one run. A follower that ends does not stop the run unless it was asked to.
"""

import json
import logging
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.files import file_size
from core.common.logs import passed_over
from core.engine.options import Options
from core.engine.run_process import CONTROL, LOG
from core.machine.processes import (
    RUN_FLAG,
    environment,
    exit_in_words,
    go_on,
    is_suspended,
    kill_tree,
    own_program,
)
from core.records.events import Event, Note, RunDone, RunPaused, event_from
from core.runs.event_log import EventTail
from core.runs.home import Home
from core.runs.own_files import check_own_files
from core.runs.run_folder import RunFolder

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.05
_LIVENESS_SECONDS = 0.5  # between two checks whether a process that somebody else started is alive
_SUSPENSION_SECONDS = 3.0  # between two checks whether it is suspended
_TAIL_BYTES = 6000
_ANSWER_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class TimedEvent:
    """An event with the time at which it was recorded, in seconds since 1970."""

    event: Event
    time: float


class RunFollower:
    """Follows one run.

    Args:
        process: the run's process where this program started it; None attaches to one that works already.
        after: number of the last event that is known already.
    """

    def __init__(self, run: RunFolder, process: "subprocess.Popen[bytes] | None" = None, after: int = 0):
        self.run, self.process = run, process
        self._tail = EventTail(run.folder / "events.jsonl", after)
        self._log_start = file_size(run.folder / LOG)
        self._answer: list[bytes] = []
        self._listener: threading.Thread | None = None
        self._detached = threading.Event()
        self._liveness_checked = self._suspension_checked = 0.0
        self._suspension_said = False
        self._sent_pause = self._sent_stop = False
        self._done: RunDone | None = None

    def detach(self) -> None:
        """Stop following; the run goes on. `follow` returns None."""
        self._detached.set()

    def follow(self, control: RunControl, listener: Callable[[TimedEvent], None]) -> RunDone | None:
        """Pass every event to `listener` until the run has ended; how it ended, None after `detach`.

        Args:
            control: pause, go on, stop and finish-this-stage are passed on to the run.

        Raises:
            EspalierError: when the process of the run ended without recording how.
        """
        if self.process is not None:
            self._listener = threading.Thread(target=self._listen, name="run answer", daemon=True)
            self._listener.start()
        while not self._detached.is_set():
            alive = self._alive()  # before reading, so that no event recorded before the end is missed
            self._pass_events(control, listener)
            if not alive:
                return self._done or self._final_answer(listener)
            if self._done is None:
                self._send_commands(control)
                self._look_for_suspension(control, listener)
            self._detached.wait(_POLL_SECONDS)
        return None

    def kill(self) -> None:
        """End the process at once, with everything it started."""
        if self.process is not None:
            kill_tree(self.process)
            self.process.wait()

    def _pass_events(self, control: RunControl, listener: Callable[[TimedEvent], None]) -> None:
        for record in self._tail.read():
            event = event_from(record)
            if event is None:
                continue
            if isinstance(event, RunPaused):  # perhaps another watcher asked for it
                self._sent_pause = event.paused
                (control.pause if event.paused else control.resume)()
            self._done = event if isinstance(event, RunDone) else None
            listener(TimedEvent(event, float(record.get("time", 0.0))))

    def _alive(self) -> bool:
        if self.process is not None:
            return self.process.poll() is None
        now = time.monotonic()
        if self._done is None and now - self._liveness_checked < _LIVENESS_SECONDS:
            return True
        self._liveness_checked = now
        return self.run.active

    def _look_for_suspension(self, control: RunControl, listener: Callable[[TimedEvent], None]) -> None:
        """Say when somebody has suspended the run's process, once; a stop lets it go on, so that it can end."""
        now = time.monotonic()
        if now - self._suspension_checked < _SUSPENSION_SECONDS:
            return
        self._suspension_checked = now
        number = self.process.pid if self.process is not None else self._process_elsewhere()
        if number is None or not is_suspended(number):
            self._suspension_said = False
        elif control.stopping and self.process is not None:
            go_on(self.process)
        elif not self._suspension_said:
            self._suspension_said = True
            text = f"The process of the run ({number}) is suspended and does nothing until somebody lets it go on."
            listener(TimedEvent(Note("", "warning", text), time.time()))

    def _process_elsewhere(self) -> int | None:
        """The number of the run's process that another program of this machine started."""
        with passed_over(_log, "A run does not say which process works at it", EspalierError):
            process = self.run.info.process
            number = process.get("pid")
            return number if isinstance(number, int) and process.get("host") == socket.gethostname() else None
        return None

    def _send_commands(self, control: RunControl) -> None:
        """Send what was requested through `control` since the last call to the run's process."""
        stopping = control.stopping
        if self._detached.is_set():  # after `detach` a stop of the control is not meant for the run
            return
        if stopping:
            if not self._sent_stop:
                self._sent_stop = True
                send(self.run, "stop")
            return
        if control.take_finish_stage():
            send(self.run, "finish_stage")
        if control.paused != self._sent_pause:
            self._sent_pause = control.paused
            send(self.run, "pause" if control.paused else "resume")

    def _listen(self) -> None:
        """Read the process's standard output, so that it never blocks on a full pipe."""
        assert self.process is not None and self.process.stdout is not None
        with passed_over(_log, "The answer of a run's process was not heard", OSError, ValueError):
            self._answer += self.process.stdout.readlines()

    def _final_answer(self, listener: Callable[[TimedEvent], None]) -> RunDone:
        """How a run ended that recorded no end: what its process answered, or that it died."""
        if self._listener is not None:
            self._listener.join(
                _ANSWER_SECONDS
            )  # the process has ended, its last line may still be on the way
        with passed_over(_log, "A run's process left no answer", IndexError, ValueError):
            event = event_from(json.loads(self._answer[-1]))
            if isinstance(event, RunDone):
                listener(TimedEvent(event, time.time()))
                return event
        code = self.process.returncode if self.process is not None else None
        how, advice = exit_in_words(code) if code is not None else ("it is gone", _NOTHING_LOST)
        _log.error("The process of the run %s ended unexpectedly (%s).", self.run.folder, how)
        raise EspalierError(
            f"The process of the run ended unexpectedly ({how}).",
            f"{advice} Resume goes on with the run: every finished epoch is kept.",
            self._log_tail(),
        )

    def _log_tail(self) -> str:
        """The end of what the process wrote into its log since it was started."""
        with (
            passed_over(_log, "A run's log cannot be read", OSError),
            (self.run.folder / LOG).open("rb") as log,
        ):
            end = log.seek(0, 2)
            log.seek(max(self._log_start, end - _TAIL_BYTES))
            return log.read().decode("utf-8", errors="replace").strip()
        return ""


_NOTHING_LOST = "Nothing that was finished is lost."


@dataclass(frozen=True, slots=True)
class Starter:
    """Another program than the usual one, as the process of a run.

    Attributes:
        program: its command line, without the request.
        request: what it is told besides what every run's process is told.
    """

    program: list[str]
    request: dict[str, Any]


def start_run(
    run: RunFolder,
    home: Home,
    options: Options,
    stay: bool,
    after: int = 0,
    starter: Starter | None = None,
) -> RunFollower:
    """Start the process of a run.

    Args:
        stay: it goes on when this program ends; else it stops then.
        after: number of the last event that is known already.
        starter: how it is started; None as usual.

    Raises:
        EspalierError: when no process can be started, or the folder holds links that lead elsewhere.
    """
    check_own_files(run.folder)
    request = {
        "folder": str(run.folder.resolve()), "home": str(home.folder.resolve()), "options": asdict(options), "stay": stay,
        "commands_since": file_size(run.folder / CONTROL),
        **(starter.request if starter is not None else {}),
    }  # fmt: skip
    try:
        with (run.folder / LOG).open("ab") as log:
            process = subprocess.Popen(
                [*(starter.program if starter is not None else program()), json.dumps(request)],
                stdin=subprocess.DEVNULL if stay else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(),
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
    except OSError as error:
        raise EspalierError(
            f"The process of the run could not be started: {error.strerror or error}.",
            "Free some memory or disk space, and try again.",
        ) from error
    _log.info("The process of the run %s is started: %d.", run.folder, process.pid)
    return RunFollower(run, process, after)


def program() -> list[str]:
    """The command line of a run's process, without the request."""
    return own_program("core.engine.run_process", RUN_FLAG)


def send(run: RunFolder, command: str) -> None:
    """Send a command to the process of a run: "pause", "resume", "stop" or "finish_stage".

    Raises:
        EspalierError: when the run folder cannot be written to.
    """
    try:
        with (run.folder / CONTROL).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"do": command}) + "\n")
    except OSError as error:
        raise EspalierError(
            f"The run in {run.folder} cannot be asked to {command.replace('_', ' ')}: {error.strerror or error}.",
            "Free some space, or ask for the right to write into the run folder.",
        ) from error
