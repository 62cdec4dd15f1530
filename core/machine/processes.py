"""Starting, ending and explaining processes of this program."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import core
from core.common.logs import passed_over

_log = logging.getLogger(__name__)

MEMORY_ADVICE = (
    "The system may have run out of memory: close other programs or choose a smaller batch, image size "
    "or model, and try again."
)
CHILD_FLAG, RUN_FLAG = "--espalier-child", "--espalier-run"  # what a packaged program is started as
SCRIPT_FLAG = "--espalier-script"
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_NATIVE_CRASHES = {"SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE"}
_CRASH_ADVICE = (
    "A library crashed on this model; nothing that was finished is lost. Try again, and if it happens again "
    "choose other settings for this step. The last lines of its log say where it happened."
)
_OTHER_ADVICE = "Try again; the last lines that the process wrote are in its log."


def own_program(module: str, flag: str) -> list[str]:
    """The command line that starts `module` of this program in a process of its own.

    That is this interpreter, or in a package its console program with `flag`, which its entry point
    knows. The window's program is not taken: on Windows it has no streams.
    """
    if getattr(sys, "frozen", False):
        program = Path(sys.executable)
        return [str(program.with_name(f"espalier{program.suffix}")), flag]
    return [sys.executable, "-m", module]


def own_command() -> list[str]:
    """The command line `espalier` of this very program; arguments may follow."""
    if getattr(sys, "frozen", False):
        return own_program("", "")[:1]
    return own_program("core.commands.main", "")


def own_script(script: Path) -> list[str]:
    """The command line that runs one of the program's own scripts with its libraries; arguments may follow."""
    if getattr(sys, "frozen", False):
        return [*own_program("", SCRIPT_FLAG), str(script)]
    return [sys.executable, str(script)]


def environment(threads: int | None = None, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a process of ours: `core` importable, UTF-8, thread counts as asked.

    Args:
        threads: sets OMP_NUM_THREADS and its like; None leaves them alone.
        extra: further variables.
    """
    env = {**os.environ, **(extra or {}), "PYTHONUTF8": "1"}
    if not getattr(sys, "frozen", False):
        root = str(Path(core.__file__).resolve().parents[1])
        env["PYTHONPATH"] = os.pathsep.join(part for part in (root, env.get("PYTHONPATH", "")) if part)
    if threads is not None:
        env.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    return env


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and everything it started; nothing when it was reaped already."""
    if process.returncode is not None:
        return
    if sys.platform != "win32":
        with passed_over(_log, "A group of processes was gone", ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        import psutil

        with passed_over(_log, "A process was gone", psutil.Error):
            for descendant in psutil.Process(process.pid).children(recursive=True):
                with passed_over(_log, "A process was gone", psutil.Error):
                    descendant.kill()
    with passed_over(_log, "A process was gone", OSError):
        process.kill()


def is_suspended(number: int) -> bool:
    """Whether somebody has stopped the process so that it does nothing (SIGSTOP)."""
    import psutil

    try:
        return bool(psutil.Process(number).status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False


def go_on(process: subprocess.Popen[bytes]) -> None:
    """Let a suspended process go on."""
    import psutil

    with passed_over(_log, "A process was gone", psutil.Error):
        psutil.Process(process.pid).resume()


def exit_in_words(code: int) -> tuple[str, str]:
    """How a process ended that was not to end, and what a person can do: "SIGSEGV", an advice."""
    if code >= 0:
        shown = f"0x{code:08X}" if code > 255 else str(code)
        return f"exit code {shown}", _CRASH_ADVICE if code > 255 else _OTHER_ADVICE
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if name == "SIGKILL":
        return name, MEMORY_ADVICE
    return name, _CRASH_ADVICE if name in _NATIVE_CRASHES else _OTHER_ADVICE
