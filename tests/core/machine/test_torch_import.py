"""PyTorch's late part is entered from the front, whatever needs it first: a fresh process each."""

import subprocess
import sys

import pytest

ORDER = """
import sys
import torch

entered = []

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name.startswith(("torch._dynamo", "torch._inductor", "torchvision")):
            entered.append(name)

assert "torch._dynamo" not in sys.modules, "it would not be late"
sys.meta_path.insert(0, Watch())
"""

FIRST = {
    "torchvision": "from core.models.torchvision_shim import import_torchvision; import_torchvision()",
    "a run": "from core.engine.reproducible import reproducible\nwith reproducible(1): pass",
}


@pytest.mark.slow
@pytest.mark.parametrize("what", FIRST)
def test_the_late_part_is_entered_from_the_front(what: str) -> None:
    script = f"{ORDER}{FIRST[what]}\nassert entered[0] == 'torch._dynamo', entered[:3]"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
