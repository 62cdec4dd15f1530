"""The reference is the same everywhere, its usual time is taken once, and the pace is a share of that."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from core.common.control import RunControl
from core.common.errors import Stopped
from core.machine.child import Child
from core.profiling.latency import make_sample, profile_artefact
from core.profiling.pace import pace_of
from core.profiling.protocol import Budget
from core.runs.cache import Measurements


@pytest.fixture(scope="module")
def taken(tmp_path_factory):
    """A machine whose pace is taken twice."""
    folder = tmp_path_factory.mktemp("pace")
    measurements = Measurements(folder / "measurements")
    with Child("measure", folder / "log") as child:
        first = pace_of(measurements, folder, child)
        written = first.reference.read_bytes()
        return first, pace_of(measurements, folder, child), written


def test_the_usual_time_is_taken_once(taken):
    first, second, written = taken
    assert second == first and second.reference.read_bytes() == written
    assert 1e-5 < first.usual < 0.05


def test_the_reference_computes_what_it_says(taken):
    first = taken[0]
    model = onnx.load(first.reference)
    onnx.checker.check_model(model, full_check=True)
    weights = [numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    assert sum(32 * 32 * values.size for values in weights) == 32 * 32 * 16 * 9 * (3 + 10 * 16)
    session = ort.InferenceSession(first.reference, providers=["CPUExecutionProvider"])
    [given] = session.run(None, {"images": np.ones((1, 3, 32, 32), np.float32)})
    assert (
        0.1 < given.mean() < 10 and np.isfinite(given).all()
    )  # neither dies out nor runs away: no denormal numbers


def test_latencies_are_given_at_that_pace(taken, tmp_path):
    """The reference itself takes its usual time by definition, however fast the machine is at the moment."""
    first, measurements = taken[0], Measurements(tmp_path / "measurements")
    measurements.get_or_measure({"pace": 1}, lambda: {"seconds": 3.0})
    make_sample(tmp_path / "sample.npy", 32)
    budget = Budget(blocks=8, most_blocks=8, seconds=0.0, memory_processes=1, patience=0.0)
    metrics, _ = profile_artefact(
        first.reference, None, tmp_path / "sample.npy", budget=budget, measurements=measurements
    )
    assert metrics["latency_ms"].value == pytest.approx(3000, rel=0.3)
    assert "at the machine's usual pace, it ran at" in metrics["latency_ms"].how
    assert metrics["latency_ms_p90"].value > 2000


def test_stopping_ends_the_taking(tmp_path):
    control = RunControl()
    control.stop()
    with Child("measure", tmp_path / "log") as child, pytest.raises(Stopped):
        pace_of(Measurements(tmp_path / "measurements"), tmp_path, child, control)
