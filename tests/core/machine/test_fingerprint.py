"""What the machine's fingerprint says, and that asking costs no import of torch."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

import core
from core.machine.fingerprint import _linux_processor, fingerprint, fingerprint_hash, usable_cores

ARM = "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd asimddp sve\n"
X86 = "processor\t: 0\nmodel name\t: Some CPU @ 3GHz\nflags\t\t: fpu avx2 avx512_vnni\n\nprocessor\t: 1\n"


def test_the_fingerprint_is_plain_and_steady():
    machine = fingerprint()
    assert json.loads(json.dumps(machine)) == machine == fingerprint()
    assert machine["python"] == platform.python_version()
    assert 1 <= machine["physical_cores"] <= machine["logical_cores"] <= (os.cpu_count() or 1)
    assert machine["versions"]["onnxruntime"] and machine["memory_bytes"] > 1e8 and machine["processor"]
    assert fingerprint_hash() == fingerprint_hash(machine)
    assert fingerprint_hash({**machine, "python": "2.7"}) != fingerprint_hash(machine)


def test_cpuinfo_is_read():
    assert _linux_processor(X86) == ("Some CPU @ 3GHz", {"fpu", "avx2", "avx512_vnni"})
    assert _linux_processor(ARM)[1] == {"fp", "asimd", "asimddp", "sve"}


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_only_usable_cores_count():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_asking_imports_no_library():
    program = (
        "import sys; from core.machine.fingerprint import fingerprint; fingerprint();"
        "print([name for name in ('torch', 'onnxruntime', 'onnx') if name in sys.modules])"
    )
    root = str(Path(core.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert done.stdout.strip() == "[]"
