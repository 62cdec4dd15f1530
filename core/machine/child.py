"""The processes for work that holds the interpreter for long or can crash natively.

A `Child` runs named jobs in a process of its own: the *tool* kind (torch: export,
quantization, predictions) and the *measure* kind (ONNX Runtime and NumPy only; an import of
torch is refused there). Both receive file paths, never modules.

Protocol, one JSON object a line. To the child: ``{id, job, arguments}``, and ``{id, stop}`` where a job is to end by
itself. From it: ``{id, taken}``, then ``{id, progress, text}`` and ``{id, part}`` any number of times, then
``{id, result}``, ``{id, stopped}`` or ``{id, error: {message, advice, details}}``. Libraries print on standard output, so the child
keeps the protocol on a private copy of it and points the public one at standard error, which
goes to a log. The child exits when its input closes, so it never outlives the program.

A job is a function of a module of `core` (`core.machine.jobs`), passed as the function itself: ``child.call(export_onnx, {…})``.
"""

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, NoReturn

from core.common.control import RunControl
from core.common.errors import EspalierError, Fault, Stopped
from core.common.full_disk import full_disk
from core.common.logs import passed_over
from core.common.temporary import make_temporary_folder
from core.machine.child_server import serve
from core.machine.child_watch import IDLE, SILENT, SUSPENDED, ChildWatch, tell_trouble
from core.machine.jobs import Job, PartCallback, ProgressCallback, name_of, silent_seconds, words_of
from core.machine.processes import CHILD_FLAG, environment, exit_in_words, kill_tree, own_program

_log = logging.getLogger("core.machine.child")  # also where it is run as a program

Kind = Literal["tool", "measure"]

_TAIL_BYTES = 6000
_CLOSE_SECONDS = 2.0


class Child:
    """A process that runs one job after another, replaced after a crash or a cancelled job.

    It starts with the first call. Any thread may call; calls wait for each other.

    Args:
        kind: "tool" (torch allowed) or "measure" (torch refused).
        log: file that what the process prints is appended to; None keeps it in a temporary
            file until `close`.
        threads: sets OMP_NUM_THREADS and its like for the process; None leaves them alone.
        env: further environment variables for the process.
        patience: seconds that a job which is asked to stop has to end by itself; then, or at once where it is
            0, the process is killed.
    """

    def __init__(
        self,
        kind: Kind,
        log: Path | None = None,
        *,
        threads: int | None = None,
        env: Mapping[str, str] | None = None,
        patience: float = 0.0,
    ) -> None:
        self.kind, self._patience = kind, patience
        self._env = environment(threads, env)
        self._log = log
        self._scratch: Path | None = None  # where the log is, unless it was given
        self._busy = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._killer: _Killer | None = None
        self._served = False  # whether the process that is there has answered before
        self._closed = False
        self._next_id = 0

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process's number, or None while there is none."""
        return self._process.pid if self._process is not None else None

    def call(
        self,
        job: Job,
        arguments: Mapping[str, Any],
        control: RunControl | None = None,
        on_progress: ProgressCallback | None = None,
        timeout: float | None = None,
        on_part: PartCallback | None = None,
    ) -> dict[str, Any]:
        """Run `job` with `arguments` (plain data) and return its result.

        Args:
            job: a public function at the top of a module of `core`.
            control: stopping it ends the job, after `patience` the process; the next call starts a fresh one.
            on_progress: called with (fraction 0…1, sentence) in the calling thread.
            timeout: seconds after which the process is killed.
            on_part: called with each part of the answer that the job sends beforehand, in the calling thread.

        Raises:
            EspalierError: the job's own error, a crash or a timeout.
            Stopped: a person asked to stop, or the child was closed meanwhile.
        """
        request = {"job": name_of(job), "arguments": dict(arguments)}
        listeners = _Listeners(on_progress, on_part)
        with self._busy:
            if self._closed:
                raise RuntimeError("The child process was closed; make a new Child.")
            if control is not None:
                control.checkpoint()
            try:
                reply = self._guarded(request, control, listeners, timeout)
            except _ReplaceError as needed:
                tell_trouble(needed.text) if needed.text else _log.warning("A process died between two jobs.")
                reply = self._guarded(request, control, listeners, timeout, again=False)
        if "stopped" in reply:
            raise Stopped
        if "error" in reply:
            error = reply["error"]
            kind = Fault if error.pop("fault") else EspalierError
            raise kind(**error)
        return dict(reply["result"])

    def close(self) -> None:
        """End the process and wait for it; a job under way in another thread is given up."""
        self._closed = True
        killer = self._killer
        if killer is not None:
            killer("closed")
        with self._busy:
            self._end_idle_process()
            if self._scratch is not None:
                shutil.rmtree(self._scratch, ignore_errors=True)

    def renew(self) -> None:
        """End the process between two calls; the next call starts a fresh one."""
        with self._busy:
            self._end_idle_process()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self._reap(self._process)
        if self._process is None:
            self._served = False
            try:
                with self._open_log() as log:
                    self._process = subprocess.Popen(
                        child_command(self.kind),
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=log,
                        env=self._env,
                        start_new_session=True,
                        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                    )
            except OSError as error:
                raise full_disk(error) or EspalierError(
                    f"A process for this work could not be started: {error.strerror or error}.",
                    "Close other programs, or end other processes, and try again.",
                ) from error
            _log.info("A %s process is started: %d.", self.kind, self._process.pid)
        return self._process

    def _open_log(self) -> BinaryIO:
        """The log; a temporary one where none was given, or its place takes none."""
        if self._log is not None:
            with passed_over(_log, f"What a process prints is not kept in {self._log}", OSError):
                self._log.parent.mkdir(parents=True, exist_ok=True)
                return self._log.open("ab")
        self._scratch = self._scratch or make_temporary_folder()
        self._log = self._scratch / "log"
        return self._log.open("ab")

    def _guarded(
        self,
        request: dict[str, Any],
        control: RunControl | None,
        listeners: "_Listeners",
        timeout: float | None,
        again: bool = True,
    ) -> dict[str, Any]:
        """One exchange, ended early by the person's stop, a limit or `close`.

        Raises:
            _ReplaceError: when a process that served before died before it took this request, or did nothing;
                the second time (`again` is False) that is an error.
        """
        process = self._started()
        self._next_id += 1
        assert self._log is not None
        exchange = _Exchange(self._next_id, request, self._log)
        killer = _Killer(process)
        self._killer = killer
        timers = [threading.Timer(timeout, killer, ["timeout"])] if timeout is not None else []

        def stop() -> None:
            if self._patience and exchange.ask_to_stop(process):
                timers.append(threading.Timer(self._patience, killer, ["stopped"]))
                timers[-1].daemon = True
                timers[-1].start()
            else:
                killer("stopped")

        forget = None
        try:
            for timer in timers:
                timer.start()
            if self._closed:
                killer("closed")
            with ChildWatch(process.pid, exchange.doing, silent_seconds(request["job"]), killer) as watch:
                exchange.send(process)
                forget = control.on_stop(stop) if control is not None else None
                reply = exchange.run(process, listeners, watch.heard)
            self._served = True
            return reply
        except _EndedError:
            killer.finish()
            code = self._reap(process)
            why = killer.reason or exit_in_words(code)[0]
            _log.log(
                logging.INFO if killer.reason else logging.ERROR,
                "A %s process ended in %s: %s.",
                self.kind,
                exchange.doing,
                why,
            )
            if again and self._served and not exchange.taken and not killer.reason:
                raise _ReplaceError from None
            if again and killer.reason in (SUSPENDED, IDLE):
                raise _ReplaceError(
                    f"The process that was at work on “{exchange.doing}” was {killer.reason} and is replaced."
                ) from None
            raise _explain(killer.reason, code, exchange, timeout) from None
        except BaseException:
            killer("abandoned")
            raise
        finally:
            if forget is not None:
                forget()
            for timer in timers:
                timer.cancel()
                timer.join()
            killer.finish()
            self._killer = None
            if killer.reason:
                self._reap(process)

    def _reap(self, process: subprocess.Popen[bytes]) -> int:
        """Kill what is left of the process's group, reap it and return its exit code."""
        kill_tree(process)
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with passed_over(_log, "A pipe of a process was broken", OSError):
                    pipe.close()
        if self._process is process:
            self._process = None
        return code

    def _end_idle_process(self) -> None:
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            with passed_over(_log, "A pipe of a process was broken", OSError):
                process.stdin.close()
        with passed_over(_log, "A process does not end by itself and is killed", subprocess.TimeoutExpired):
            process.wait(_CLOSE_SECONDS)
        self._reap(process)


class _EndedError(Exception):
    """The process closed its side of the protocol before it answered."""


class _ReplaceError(Exception):
    """A fresh process can take the request: the one before died between two calls, or did nothing.

    Args:
        text: a sentence for a person; empty where nothing was lost.
    """

    def __init__(self, text: str = ""):
        super().__init__(text)
        self.text = text


@dataclass(frozen=True, slots=True)
class _Listeners:
    """The functions of a caller that are told what a job says before its result."""

    on_progress: ProgressCallback | None
    on_part: PartCallback | None

    def take(self, reply: dict[str, Any]) -> None:
        if "progress" in reply and self.on_progress is not None:
            self.on_progress(float(reply["progress"]), str(reply["text"]))
        elif "part" in reply and self.on_part is not None:
            self.on_part(reply["part"])


class _Killer:
    """Kills one process for one call, and remembers the first reason."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.reason = ""
        self._process = process
        self._over = False
        self._lock = threading.Lock()

    def __call__(self, reason: str) -> None:
        with self._lock:
            if not self._over:
                self.reason = self.reason or reason
                kill_tree(self._process)

    def finish(self) -> None:
        """From now on calls do nothing: the process may be reaped and its number reused."""
        with self._lock:
            self._over = True


class _Exchange:
    """One request and its answers, and what an error says when the process dies instead."""

    def __init__(self, number: int, request: dict[str, Any], log: Path) -> None:
        self.number = number
        self.doing = words_of(request["job"])
        self._request = json.dumps({"id": number, **request}).encode() + b"\n"
        self._log = log
        self.taken = False
        self._log_start = log.stat().st_size if log.exists() else 0

    def send(self, process: subprocess.Popen[bytes]) -> None:
        """Send the request.

        Raises:
            _EndedError: when the process has ended.
        """
        assert process.stdin is not None
        try:
            process.stdin.write(self._request)
            process.stdin.flush()
        except OSError:
            raise _EndedError from None

    def ask_to_stop(self, process: subprocess.Popen[bytes]) -> bool:
        """Ask the job to end by itself; False when the process cannot be reached."""
        assert process.stdin is not None
        with passed_over(_log, "A process that is to stop has ended", OSError, ValueError):
            process.stdin.write(json.dumps({"id": self.number, "stop": True}).encode() + b"\n")
            process.stdin.flush()
            return True
        return False

    def run(
        self, process: subprocess.Popen[bytes], listeners: _Listeners, on_heard: Callable[[], None]
    ) -> dict[str, Any]:
        """Read until the result, the error, or that the job stopped.

        Raises:
            _EndedError: when the process ended instead.
        """
        assert process.stdout is not None
        for line in process.stdout:
            if not line.endswith(b"\n"):
                break
            reply: dict[str, Any] = json.loads(line)
            if reply["id"] != self.number:
                continue
            self.taken = True
            on_heard()
            if reply.keys() & {"result", "error", "stopped"}:
                return reply
            listeners.take(reply)
        raise _EndedError

    def log_tail(self) -> str:
        """The end of what the process wrote since this exchange began."""
        with passed_over(_log, "A process's log cannot be read", OSError), self._log.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, end - _TAIL_BYTES))
            return log.read().decode("utf-8", errors="replace").strip()
        return ""


def _explain(reason: str, code: int, exchange: _Exchange, timeout: float | None) -> Exception:
    """The exception for a process that ended before it answered."""
    if reason in ("stopped", "closed"):
        return Stopped()
    if reason == "timeout":
        return Fault(
            f"The work “{exchange.doing}” was expected to take at most {timeout:g} seconds and was not finished by then.",
            "Try again when the computer is less busy, or choose a smaller model.",
            exchange.log_tail(),
        )
    if reason in (SUSPENDED, IDLE, SILENT):
        return Fault(
            f"The process that was at work on “{exchange.doing}” was {reason} for too long and was ended.",
            "Look whether something suspends processes on this machine or a disk does not answer, and go on.",
            exchange.log_tail(),
        )
    how, advice = exit_in_words(code)
    return Fault(
        f"The process that was at work on “{exchange.doing}” ended unexpectedly ({how}).",
        advice,
        exchange.log_tail(),
    )


def child_command(kind: Kind) -> list[str]:
    """The command line that starts a child."""
    return [*own_program("core.machine.child", CHILD_FLAG), kind]


def is_child(argv: Sequence[str]) -> bool:
    """Whether a frozen program was started as a child; its entry point then calls `child_main`."""
    return len(argv) == 3 and argv[1] == CHILD_FLAG


def child_main(argv: Sequence[str]) -> NoReturn:
    """Serve jobs until the input closes; `argv` is `sys.argv`, its last word the kind."""
    if argv[-1] not in ("tool", "measure"):
        raise SystemExit(f"Expected the kind of child process, tool or measure; received {argv[-1]!r}.")
    serve(allow_torch=argv[-1] == "tool")


if __name__ == "__main__":
    child_main(sys.argv)
