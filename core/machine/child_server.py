"""The child's side of `core.machine.child`: takes requests, runs jobs, sends progress and results."""

import faulthandler
import importlib.abc
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from core.common.control import RunControl
from core.common.errors import EspalierError, Fault, Stopped
from core.common.full_disk import full_disk
from core.common.logs import log_to_standard_error
from core.machine.jobs import JobContext, job_named, words_of
from core.machine.processes import MEMORY_ADVICE

_PROGRESS_SECONDS = 0.03


def serve(allow_torch: bool) -> NoReturn:
    """Answer requests until the input closes, which ends the process."""
    faulthandler.enable(2)
    log_to_standard_error()
    if not allow_torch:
        sys.meta_path.insert(0, _NoTorch())
    requests, replies = _private_channels()
    incoming: queue.SimpleQueue[tuple[dict[str, Any], RunControl]] = queue.SimpleQueue()
    controls: dict[int, RunControl] = {}

    def send(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message).encode() + b"\n")
        replies.flush()

    def listen() -> None:
        for line in requests:
            message = json.loads(line)
            if "stop" in message:
                control = controls.get(message["id"])
                if control is not None:
                    control.stop()
            else:
                control = controls[message["id"]] = RunControl()
                incoming.put((message, control))
        _leave()

    threading.Thread(target=listen, name="requests", daemon=True).start()
    while True:
        request, control = incoming.get()
        _serve(request, control, send)
        del controls[request["id"]]


def _private_channels() -> tuple[Any, Any]:
    """The protocol's two ends on descriptors that no library and no grandchild sees."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, replies


def _leave() -> NoReturn:
    """End at once, whatever native code is doing, together with everything this process started."""
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(0)


class _NoTorch(importlib.abc.MetaPathFinder):
    """Refuses torch in the measuring process: it would add some 500 MB to what is weighed."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        if fullname == "torch":
            raise ImportError("The measuring process does not load torch.")


def _serve(request: dict[str, Any], control: RunControl, send: Callable[[dict[str, Any]], None]) -> None:
    """Run one request and send its result, its error, or that it stopped."""
    number, job = request["id"], request["job"]
    last = 0.0

    def progress(fraction: float, text: str) -> None:
        nonlocal last
        now = time.monotonic()
        if fraction >= 1.0 or now - last >= _PROGRESS_SECONDS:
            last = now
            send({"id": number, "progress": float(fraction), "text": text})

    context = JobContext(progress, lambda part: send({"id": number, "part": part}), control)
    send({"id": number, "taken": True})
    try:
        reply = {"id": number, "result": job_named(job)(request["arguments"], context)}
        json.dumps(reply)
    except Stopped:
        reply = {"id": number, "stopped": True}
    except Exception as error:
        reply = {"id": number, "error": _error_in_words(error, job)}
    send(reply)


def _error_in_words(error: Exception, job: str) -> dict[str, Any]:
    """The failure as plain data; `fault` says that it was not foreseen."""
    if full := full_disk(error):
        error = full
    if isinstance(error, EspalierError):
        return {
            "message": error.message,
            "advice": error.advice,
            "details": error.details,
            "command": error.command,
            "fault": isinstance(error, Fault),
        }
    what = words_of(job)
    lines = str(error).strip().splitlines()
    reason = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    no_memory = isinstance(error, MemoryError) or "out of memory" in str(error).lower()
    return {
        "message": f"The work “{what}” failed ({reason}).",
        "advice": MEMORY_ADVICE
        if no_memory
        else "Please report it with the end of the log, which says where it happened.",
        "details": traceback.format_exc(),
        "fault": True,
    }
