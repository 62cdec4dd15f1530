"""Every method on every backbone, tried for real; some 40 minutes in all on one core."""

from pathlib import Path

import pytest

from core.coverage import BACKBONES, METHODS, coverage
from core.engine import Options
from core.runs import Home

NO_BLOCKS = ("channels", "layers", "scale-down")  # methods that need residual blocks
EXCEPTIONS = {
    (name, method): "has no residual blocks"
    for name in ("plain-cnn-tiny", "plain-cnn-large")
    for method in NO_BLOCKS
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_every_method_works(name: str, tmp_path: Path) -> None:
    cells = coverage((name,), tuple(METHODS), Home(tmp_path), Options("cpu", 1))
    odd = {
        cell.method: cell.sentence
        for cell in cells
        if cell.state != "works" and EXCEPTIONS.get((name, cell.method), "no exception") not in cell.reason
    }
    assert not odd
    assert all(cell.state == "pointless" for cell in cells if (name, cell.method) in EXCEPTIONS)
