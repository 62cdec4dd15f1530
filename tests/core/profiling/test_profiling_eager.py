"""PyTorch's own figures."""

import pytest

from core.errors import EspalierError
from core.profiling.eager import _inference, measure

torch = pytest.importorskip("torch")


def network() -> "torch.nn.Module":
    nn = torch.nn
    made = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4)
    )
    return made.eval()


@pytest.mark.parametrize(("autocast", "says"), [(None, "float32"), ("auto", "bfloat16 autocast")])
def test_figures_on_the_cpu(autocast, says):
    threads, told = torch.get_num_threads(), []
    with _inference("cpu", autocast, 1) as how:
        assert torch.get_num_threads() == 1
        metrics = measure(network(), (3, 16, 16), "cpu", how, lambda fraction, text: told.append(fraction))
    assert torch.get_num_threads() == threads
    assert set(metrics) == {"latency_ms", "throughput"} and told[-1] == 1.0
    latency, throughput = metrics["latency_ms"], metrics["throughput"]
    assert latency.low <= latency.value <= latency.high and latency.level == 0.99
    assert says in latency.how and "the CPU, 1 thread" in latency.how and "batch 1" in latency.how
    assert throughput.value > 1000 / latency.value / 4


def test_an_unknown_precision_is_refused():
    with pytest.raises(EspalierError, match="received 'float8'"), _inference("cpu", "float8", 1):
        pass


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("autocast", [None, "auto"])
def test_figures_on_a_gpu(autocast):
    with _inference("cuda", autocast, 1) as how:
        metrics = measure(network().to("cuda"), (3, 16, 16), "cuda", how, lambda fraction, text: None)
    assert metrics["memory_mb"].value > 0
    assert torch.cuda.get_device_name(0) in metrics["memory_mb"].how
