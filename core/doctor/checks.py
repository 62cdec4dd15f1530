"""Checks an installation: libraries, processes, devices, storage, display. A report for people and for bug reports.

Every check gives one line and never raises: the report is needed most where much is broken.
Libraries are loaded in child processes, so that a crash in one of them is a line of the report too.
"""

import logging
import os
import platform
import shutil
import socket
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import core
from core.common.errors import EspalierError
from core.common.full_disk import file_system_of, over_the_network
from core.machine.child import Child, Kind
from core.machine.jobs import Job

_log = logging.getLogger(__name__)

State = Literal["good", "warning", "bad", "absent"]

_LITTLE_SPACE, _NO_SPACE = 5e9, 0.5e9  # bytes: a long run with its caches; nothing worth starting
_LITTLE_MEMORY = 4e9
_CHILD_SECONDS = 180.0
_TORCH_LIBRARIES = (
    "torch",
    "torchvision",
    "timm",
    "torch_pruning",
    "onnx",
    "onnxscript",
    "onnxruntime.quantization",
)
_MEASURING_LIBRARIES = ("onnxruntime", "numpy")
_OTHER_LIBRARIES = ("PySide6-Essentials", "pyqtgraph", "pydantic", "pillow", "safetensors")


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one check.

    Attributes:
        name: what, in a word or two.
        state: "good", "warning" (works with a limit), "bad" (something will not work), or "absent" (something
            that nothing else needs is not there).
        found: what is there.
        advice: what to do, where something is wrong.
    """

    name: str
    state: State
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Examination:
    """All checks of one installation."""

    checks: tuple[Check, ...]

    @property
    def good(self) -> bool:
        """Whether nothing is bad; warnings do not count."""
        return all(check.state != "bad" for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {"good": self.good, "checks": [asdict(check) for check in self.checks]}

    def as_text(self) -> str:
        """To be read, and to be copied into a bug report."""
        wide = max(len(check.name) for check in self.checks)
        lines = []
        for check in self.checks:
            lines.append(f"{check.state:<8}{check.name:<{wide}}  {check.found}")
            if check.advice:
                lines.append(f"{'':<8}{'':<{wide}}  → {check.advice}")
        bad, warnings = (sum(c.state == state for c in self.checks) for state in ("bad", "warning"))
        lines.append(f"\n{len(self.checks)} checks, {bad} bad, {warnings} with a warning.")
        return "\n".join(lines)


def examine(say: Callable[[str], None] = lambda name: None) -> Examination:
    """Run all checks; takes some seconds, most of them loading PyTorch.

    Args:
        say: called with the name of every check before it begins.
    """
    checks: list[Check] = []
    for name, check_of in _CHECKS:
        say(name)
        checks += _guarded(name, check_of)
    return Examination(tuple(checks))


def _guarded(name: str, run_check: Callable[[], Check | list[Check]]) -> list[Check]:
    """The checks that `run_check` returns; an exception becomes a bad check."""
    try:
        result = run_check()
    except EspalierError as error:
        last = error.details.strip().splitlines()[-1:]
        return [Check(name, "bad", " ".join([error.message, *last]), error.advice)]
    except Exception as error:
        return [Check(name, "bad", f"could not be checked: {type(error).__name__}: {error}")]
    return result if isinstance(result, list) else [result]


def _program() -> Check:
    kind = "installed program" if getattr(sys, "frozen", False) else "sources"
    where = Path(sys.executable).parent if getattr(sys, "frozen", False) else Path(core.__file__).parents[1]
    return Check("Espalier", "good", f"{core.__version__}, {kind} in {where}")


def _system() -> Check:
    library = " ".join(platform.libc_ver()).strip()
    parts = [platform.platform(), f"Python {platform.python_version()}", library]
    return Check("System", "good", ", ".join(part for part in parts if part))


def _processor() -> Check:
    from core.machine.fingerprint import fingerprint

    machine = fingerprint()
    instructions = machine["instructions"]
    words = (
        f"{machine['processor']}, {machine['physical_cores']} cores ({machine['logical_cores']} threads); "
        f"{' '.join(instructions) or 'instruction sets unknown'}"
    )
    if instructions and platform.machine() in ("x86_64", "AMD64") and "avx2" not in instructions:
        return Check("Processor", "warning", words, "Without AVX2 everything is several times slower.")
    return Check("Processor", "good", words)


def _memory() -> Check:
    import psutil

    memory = psutil.virtual_memory()
    words = f"{memory.total / 1e9:.1f} GB, {memory.available / 1e9:.1f} GB free"
    if memory.available < _LITTLE_MEMORY:
        return Check("Memory", "warning", words, "Close other programs before training large networks.")
    return Check("Memory", "good", words)


def _tool() -> list[Check]:
    """The process for PyTorch: its libraries and devices."""
    answer, seconds = _ask("tool", load_libraries, {"names": list(_TORCH_LIBRARIES)})
    checks = [Check("Tool process", "good", f"starts and loads its libraries in {seconds:.1f} s")]
    checks += [_library(name, answer["libraries"][name]) for name in _TORCH_LIBRARIES]
    names = ", ".join(answer["devices"]) or "none that PyTorch can use; training runs on the processor"
    return [*checks, Check("GPU", "good", names), _gpu_counters()]


def _gpu_counters() -> Check:
    """What a GPU's energy and memory are read through."""
    from core.machine.nvidia import gpu_interface

    name, source = "GPU counters", gpu_interface()
    if not source:
        return Check(name, "absent", "no NVIDIA GPU answers")
    if source == "NVML":
        return Check(name, "good", "energy and memory are counted through NVML")
    return Check(
        name, "warning", "power is read through nvidia-smi", "Install the driver's library NVML, which counts energy."
    )  # fmt: skip


def _runtimes() -> list[Check]:
    """The runtimes that models can be measured in."""
    from core.profiling.runtimes import RUNTIMES

    kinds: tuple[Kind, ...] = ("measure", "tool")
    answers: dict[str, dict[str, str]] = {}
    for kind in kinds:
        names = [runtime.id for runtime in RUNTIMES.values() if runtime.child == kind]
        answers |= _ask(kind, load_runtimes, {"names": names})[0]["runtimes"]
    return [_runtime(runtime.label, answers[runtime.id]) for runtime in RUNTIMES.values()]


def _quantizers() -> list[Check]:
    """Other tools' quantizers, looked up and not loaded."""
    from core.deploy.quantizers.catalogue import QUANTIZERS

    return [
        Check(f"Quantizer: {tool.title}", "absent", f"{reason} {tool.remedy()}")
        if (reason := tool.missing())
        else Check(f"Quantizer: {tool.title}", "good", tool.found_version())
        for tool in QUANTIZERS.values()
        if tool.requires
    ]


def _runtime(label: str, answer: dict[str, str]) -> Check:
    name = f"Runtime: {label}"
    if answer["missing"]:
        return Check(name, "absent", answer["missing"])
    if answer["error"]:
        return Check(name, "warning", f"does not load: {answer['error']}", "Install its package again.")
    return Check(name, "good", answer["version"])


def load_runtimes(arguments: dict[str, Any], progress: Callable[[float, str], None]) -> dict[str, Any]:
    """Job of both children: load runtimes and say their versions, or why they are missing or do not load.

    Args (as plain data): names, ids of runtimes that belong into this process.
    """
    from core.profiling.runtimes import runtime

    answers = {}
    for name in arguments["names"]:
        chosen, error = runtime(name), ""
        missing = chosen.missing()
        if not missing:
            try:
                chosen.load()
            except Exception as reason:  # a library that does not load raises anything
                error = _in_a_line(reason)
        answers[name] = {"missing": missing, "error": error, "version": _version(chosen.package)}
    return {"runtimes": answers}


def _measuring() -> list[Check]:
    """The process that measures: ONNX Runtime without PyTorch."""
    answer, seconds = _ask("measure", load_libraries, {"names": list(_MEASURING_LIBRARIES)})
    checks = [Check("Measuring process", "good", f"starts and loads its libraries in {seconds:.1f} s")]
    return checks + [_library(name, answer["libraries"][name]) for name in _MEASURING_LIBRARIES]


def _ask(kind: Kind, job: Job, arguments: dict[str, Any]) -> tuple[dict[str, Any], float]:
    """A child's answer and the seconds from its start to the answer."""
    began = time.monotonic()
    with Child(kind) as child:
        answer = child.call(job, arguments, timeout=_CHILD_SECONDS)
    return answer, time.monotonic() - began


def _library(name: str, answer: dict[str, str]) -> Check:
    if answer["error"]:
        return Check(name, "bad", f"does not load: {answer['error']}", "Install Espalier again.")
    return Check(name, "good", answer["version"])


def load_libraries(arguments: dict[str, Any], progress: Callable[[float, str], None]) -> dict[str, Any]:
    """Job of both children: load libraries and say their versions, errors, and the devices found.

    Args (as plain data): names, of modules.
    """
    libraries = {name: _load(name) for name in arguments["names"]}
    return {"libraries": libraries, "devices": _devices() if "torch" in sys.modules else []}


def _load(name: str) -> dict[str, str]:
    import importlib

    try:
        if name.split(".")[0] in ("torchvision", "timm", "torch_pruning"):
            from core.models.torchvision_shim import import_torchvision

            import_torchvision()
        importlib.import_module(name)
    except Exception as error:
        return {"version": "", "error": _in_a_line(error)}
    return {"version": _version(name.partition(".")[0].replace("_", "-")), "error": ""}


def _in_a_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).strip().splitlines()[:1])}"


def _devices() -> list[str]:
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = []
    for index in range(count):
        properties = torch.cuda.get_device_properties(index)
        names.append(f"cuda:{index} {properties.name} with {properties.total_memory / 1e9:.1f} GB")
    return names


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "version unknown"


def _others() -> list[Check]:
    """Libraries of the window and of the files: looked up, not loaded."""
    checks = []
    for name in _OTHER_LIBRARIES:
        try:
            checks.append(Check(name, "good", version(name)))
        except PackageNotFoundError:
            checks.append(Check(name, "bad", "not installed", "Install Espalier again."))
    return checks


def _window_libraries() -> Check | list[Check]:
    """Whether Qt's part for X11 finds all the system's libraries (Linux only)."""
    spec = find_spec("PySide6")
    if sys.platform != "linux" or spec is None or spec.origin is None:
        return []
    plugin = Path(spec.origin).parent / "Qt" / "plugins" / "platforms" / "libqxcb.so"
    answer, _ = _ask("measure", load_native, {"path": str(plugin)})
    if answer["error"]:
        return Check(
            "Window libraries", "bad", answer["error"],
            "Install the system packages that docs/packaging.md lists; the command line works without.",
        )  # fmt: skip
    return Check("Window libraries", "good", "complete")


def load_native(arguments: dict[str, Any], progress: Callable[[float, str], None]) -> dict[str, Any]:
    """Job: load a native library and say what is missing. Args (as plain data): path."""
    import ctypes

    try:
        ctypes.CDLL(arguments["path"])
    except OSError as error:
        return {"error": str(error)}
    return {"error": ""}


def _display() -> Check:
    if sys.platform in ("win32", "darwin"):
        return Check("Display", "good", "the system's own")
    if os.environ.get("QT_QPA_PLATFORM") in ("offscreen", "minimal"):
        return Check("Display", "warning", "none: QT_QPA_PLATFORM asks for a window that nobody sees")
    if name := os.environ.get("WAYLAND_DISPLAY"):
        place = Path(os.environ.get("XDG_RUNTIME_DIR", "/")) / name
        return _answering("Wayland", name, socket.AF_UNIX, str(place))
    if name := os.environ.get("DISPLAY"):
        host, _, number = name.rpartition(":")
        number = number.partition(".")[0]
        if host in ("", "unix"):
            return _answering("X11", name, socket.AF_UNIX, f"/tmp/.X11-unix/X{number}")
        return _answering("X11", name, socket.AF_INET, (host, 6000 + int(number)))
    return Check("Display", "warning", "none", "The window needs one; the command line does not.")


def _answering(kind: str, name: str, family: int, address: Any) -> Check:
    """Whether a display's socket takes a connection."""
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(3)
        try:
            connection.connect(address)
        except OSError as error:
            return Check(
                "Display", "bad", f"{kind} {name} does not answer ({error.strerror or error})",
                "Start the window from a desktop session.",
            )  # fmt: skip
    return Check("Display", "good", f"{kind} {name}")


def _policy() -> Check:
    from core.machine.site_policy import Policy, site_policy, system_path

    rules = site_policy()
    if rules == Policy():
        return Check("Site policy", "good", f"none ({system_path()})")
    settings = ", ".join(f"{name}: {value}" for name, value in rules.model_dump(exclude_unset=True).items())
    return Check("Site policy", "good", f"{system_path()}: {settings}")


def _storage() -> list[Check]:
    """The person's folder: whether it can be written, locked and indexed, and how full it is."""
    from core.runs.home import Home

    folder = Home.default().folder
    folder.mkdir(parents=True, exist_ok=True)
    return [_check_storage(folder), _space("Space for runs", folder)]


def _log_file() -> Check:
    """Where the log file is, and its size."""
    from core.common.logs import LOG_NAME
    from core.runs.home import Home

    path = Home.default().logs / LOG_NAME
    size = f"{path.stat().st_size / 1e6:.2f} MB" if path.is_file() else "not there yet"
    return Check("Log file", "good", f"{path} ({size})")


def _check_storage(folder: Path) -> Check:
    """Write, rename, lock and index in a folder of our own below `folder`, which is removed again."""
    from filelock import FileLock

    system = file_system_of(folder)
    network_note = " over the network" if over_the_network(system) else ""
    try:
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=folder) as trial_folder:
            trial = Path(trial_folder)
            (trial / "part").write_bytes(os.urandom(1_000_000))
            (trial / "part").replace(trial / "whole")
            with FileLock(trial / "lock", timeout=0):
                pass
            database = sqlite3.connect(trial / "index.sqlite3")
            with database:
                database.execute("CREATE TABLE trial (number INTEGER)")
            database.close()
    except (OSError, NotImplementedError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or error
        return Check(
            "Storage", "bad", f"{folder} ({system}{network_note}) cannot be used: {reason}",
            "Free some space there, or name another folder in ESPALIER_HOME.",
        )  # fmt: skip
    return Check("Storage", "good", f"{folder} ({system}{network_note}): can be written, locked and indexed")


def _space(name: str, folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    words = f"{free / 1e9:.1f} GB free in {folder} (a quota may allow less)"
    if free < _NO_SPACE:
        return Check(name, "bad", words, "Free some space, or name another folder in ESPALIER_HOME.")
    if free < _LITTLE_SPACE:
        return Check(name, "warning", words, "A long run with its caches may need more.")
    return Check(name, "good", words)


def _temporary() -> Check:
    with tempfile.NamedTemporaryFile(prefix="espalier-doctor-") as file:
        file.write(b"trial")
    return _space("Temporary files", Path(tempfile.gettempdir()))


def _bundled() -> Check:
    """The recipes and the data set that are installed with the program."""
    from core.data.sample import locate
    from core.data.source import Watch
    from core.document.recipes import recipes

    names = [recipe.id for recipe in recipes() if recipe.load()]
    title = locate(Path(), Watch()).title
    return Check("Bundled", "good", f"{title}; {len(names)} recipes: {', '.join(names)}")


_CHECKS: tuple[tuple[str, Callable[[], Check | list[Check]]], ...] = (
    ("Espalier", _program), ("System", _system), ("Processor", _processor), ("Memory", _memory),
    ("Tool process", _tool), ("Measuring process", _measuring), ("Runtimes", _runtimes),
    ("Quantizers", _quantizers), ("Libraries", _others),
    ("Window libraries", _window_libraries), ("Display", _display), ("Site policy", _policy),
    ("Storage", _storage), ("Log file", _log_file), ("Temporary files", _temporary), ("Bundled", _bundled),
)  # fmt: skip
