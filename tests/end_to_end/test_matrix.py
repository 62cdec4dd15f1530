"""Every method on every backbone, tried for real; some 40 minutes in all on one core."""

from pathlib import Path

import pytest

from core.engine.coverage import BACKBONES, coverage, methods
from core.engine.options import Options
from core.runs.home import Home

NO_BLOCKS = ("channels", "layers", "scale-down", "stochastic-depth")  # methods that need residual blocks
POINTLESS = {
    (name, method): "has no residual blocks"
    for name in ("plain-cnn-tiny", "plain-cnn-large")
    for method in NO_BLOCKS
} | {(name, "tokens"): "has no tokens" for name in BACKBONES if not name.startswith("vit-")}
REFUSED = {(name, "distil-feature"): "share one position" for name in ("vit-tiny", "vit-small")}  # tokens


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_every_method_works(name: str, tmp_path: Path) -> None:
    cells = coverage((name,), tuple(methods()), Home(tmp_path), Options("cpu", 1))
    wanted = {
        cell.method: "pointless" if (name, cell.method) in POINTLESS
        else "refused" if (name, cell.method) in REFUSED
        else "works"
        for cell in cells
    }  # fmt: skip
    odd = {cell.method: cell.sentence for cell in cells if cell.state != wanted[cell.method]}
    assert not odd
    reasons = {**POINTLESS, **REFUSED}
    assert all(reasons.get((name, cell.method), "") in cell.reason for cell in cells)
