"""The options of a machine: how many processes may train together, and where compiling applies."""

import pytest
import torch

from core.common.errors import EspalierError
from core.engine.options import Options


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)


@pytest.mark.parametrize(
    ("device", "threads", "processes", "most"),
    [("cpu", 3, 4, 3), ("cuda", 8, 5, 4), ("cuda:1", 8, 2, 1), ("cpu", 2, 0, 2)],
)
def test_more_processes_than_gpus_or_threads_are_refused(gpus, device, threads, processes, most):
    with pytest.raises(EspalierError, match=f"from 1 to {most} processes .* received {processes}"):
        Options(device, threads, processes=processes).resolved()


@pytest.mark.parametrize(("device", "processes"), [("cpu", 2), ("cuda", 4), ("auto", 4), ("cuda:1", 1)])
def test_one_process_for_each_gpu_or_thread_is_taken(gpus, device, processes):
    assert Options(device, 2, processes=processes).resolved().processes == processes


@pytest.mark.parametrize(
    ("device", "processes", "applies"),
    [("cuda", 1, True), ("cuda:1", 1, True), ("cpu", 1, False), ("cuda", 2, False)],
)
def test_compiling_is_for_training_on_one_gpu(gpus, device, processes, applies):
    assert Options(device, 2, processes=processes, compiled=True).resolved().compiled == applies
