"""What a timing depends on: processor, cores, memory, system, versions. Imports no library."""

import functools
import hashlib
import json
import logging
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from core.common.logs import in_a_line

_log = logging.getLogger(__name__)

_INSTRUCTIONS = (
    "sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16",
    "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16",
    "asimd", "asimdhp", "asimddp", "sve", "sve2", "i8mm", "bf16",
)  # fmt: skip
_CONDITIONS = ("processor", "instructions", "physical_cores", "logical_cores", "system")
_NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)
_LIBRARIES = ("numpy", "onnx", "onnxruntime", "torch", "torch-pruning", "torchvision")


def fingerprint() -> dict[str, Any]:
    """The machine as plain data; the part of a measurement's key that is not the file.

    Returns: processor, instructions, physical_cores and logical_cores (usable by this process),
        memory_bytes, gpu (the driver's names; empty without one), system, python, versions (None
        where not installed). The same in every process of a machine, whatever it has imported.
    """
    return dict(_steady())


def fingerprint_hash(machine: dict[str, Any] | None = None) -> str:
    """SHA-256 of a fingerprint (this machine's unless given)."""
    plain = machine if machine is not None else _steady()
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def timing_conditions(machine: Mapping[str, Any]) -> str:
    """What a time depends on, of a fingerprint: processor, cores, system, runtime, what the runtime computes on."""
    versions = machine.get("versions") or {}
    plain = [machine.get(name) for name in _CONDITIONS] + [versions.get("onnxruntime")]
    plain += [machine["provider"]] if "provider" in machine else []
    return json.dumps(plain, sort_keys=True) if machine else ""


def usable_cores() -> int:
    """Physical cores that this process may use; at least 1."""
    logical = len(_affinity())
    total_logical, total_physical = psutil.cpu_count() or logical, psutil.cpu_count(logical=False) or logical
    on_linux = _physical_of(_affinity())
    return max(1, min(on_linux or round(logical * total_physical / total_logical), logical))


@functools.cache
def _steady() -> dict[str, Any]:
    name, flags = _processor()
    return {
        "processor": name,
        "instructions": sorted(flags & set(_INSTRUCTIONS)),
        "physical_cores": usable_cores(),
        "logical_cores": len(_affinity()),
        "memory_bytes": psutil.virtual_memory().total,
        "gpu": _gpus(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {library: _version(library) for library in _LIBRARIES},
    }


def _gpus() -> list[str]:
    """Names of the NVIDIA GPUs, from the driver: asking torch would import it."""
    reports = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    lines = [line for report in reports for line in report.read_text(errors="replace").splitlines()]
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    tool = shutil.which("nvidia-smi")
    if named or tool is None:
        return named
    try:
        answer = subprocess.run(
            [tool, "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True, text=True, timeout=20, check=True, creationflags=_NO_WINDOW,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        _log.warning(
            "nvidia-smi does not name the GPUs, so the machine counts as one without: %s", in_a_line(error)
        )
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _affinity() -> set[int]:
    if sys.platform == "linux":
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _physical_of(logical: set[int]) -> int | None:
    """How many physical cores the logical ones belong to, or None where the system does not say."""
    siblings = set()
    for core in logical:
        path = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
        try:
            siblings.add(path.read_text().strip())
        except OSError:
            return None
    return len(siblings) or None


def _processor() -> tuple[str, set[str]]:
    """The processor's name and all its flags, as far as the system tells."""
    if sys.platform == "linux":
        return _linux_processor(Path("/proc/cpuinfo").read_text(errors="replace"))
    if sys.platform == "darwin":
        return _mac_processor()
    return platform.processor() or platform.machine(), set()


def _linux_processor(text: str) -> tuple[str, set[str]]:
    """Name and flags from the text of /proc/cpuinfo (x86 says "flags", Arm says "Features")."""
    entries: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            entries.setdefault(key.strip(), value.strip())
    name = entries.get("model name") or entries.get("Hardware") or platform.processor() or platform.machine()
    return name, set((entries.get("flags") or entries.get("Features") or "").split())


def _mac_processor() -> tuple[str, set[str]]:
    def ask(key: str) -> str:
        try:
            answer = subprocess.run(
                ["/usr/sbin/sysctl", "-n", key], capture_output=True, text=True, timeout=20, check=False
            )
        except (OSError, subprocess.SubprocessError) as error:
            _log.warning("The system does not tell %s: %s", key, in_a_line(error))
            return ""
        return answer.stdout.strip()

    features = (ask("machdep.cpu.features") + " " + ask("machdep.cpu.leaf7_features")).lower()
    name = ask("machdep.cpu.brand_string") or platform.machine()
    return name, set(features.replace("avx2.0", "avx2").split())
