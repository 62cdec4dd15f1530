"""torchvision beside a thread that loads PyTorch's own lazy part: the order that keeps the two apart."""

import subprocess
import sys

import pytest

ORDER = """
import sys
from core.models.torchvision_shim import import_torchvision

seen = []

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            package = sys.modules.get("torch._dynamo")
            seen.append(package is not None and not package.__spec__._initializing)

assert "torch._dynamo" not in sys.modules, "it would not be lazy"
sys.meta_path.insert(0, Watch())
import_torchvision()
assert seen and all(seen), seen
"""


@pytest.mark.slow
def test_pytorch_is_whole_before_torchvision_looks_into_it() -> None:
    done = subprocess.run([sys.executable, "-c", ORDER], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
