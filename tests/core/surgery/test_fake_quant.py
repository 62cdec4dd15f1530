"""Simulated 8-bit arithmetic against longhand, and against the file that it stands for."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from core.data.preprocess import Preprocess
from core.deploy.onnx_export import describe, export_module
from core.deploy.quantization.sessions import run, sqnr
from core.deploy.quantization.static import quantize
from core.models.classifier import ImageClassifier
from core.models.settings import FemSettings
from core.surgery.fake_quant import RangeRounding, Simulation, rounded_weight


class Block(nn.Module):
    """torchvision's habits: one ReLU used three times, in place, and an addition in place."""

    def __init__(self, width: int):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        out = self.relu(self.bn1(self.conv1(images)))
        out = self.bn2(self.conv2(out))
        out += images
        return self.relu(out)


def network(seed: int = 3) -> ImageClassifier:
    torch.manual_seed(seed)
    stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
    body = nn.Sequential(stem, Block(8), Block(8), nn.Conv2d(8, 16, 1), nn.Hardswish())
    model = ImageClassifier(body, 16, nn.Linear(16, 5), FemSettings(place="pooled"))
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(-1.5, 1.5)  # negative factors turn a channel's sign
        for _ in range(10):
            model(torch.randn(16, 3, 12, 12))
    return model.eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(24, 3, 12, 12, generator=torch.Generator().manual_seed(1))


def test_weights_by_hand():
    weight = torch.tensor([[1.0, -0.25], [0.0, 0.0], [3.0, 127.0]], requires_grad=True)
    rounded = rounded_weight(weight)
    steps = torch.tensor([[127.0, -32.0], [0.0, 0.0], [3.0, 127.0]])  # 31.75 → 32
    torch.testing.assert_close(rounded, steps * torch.tensor([[1 / 127], [1.0], [1.0]]))
    rounded.sum().backward()
    assert weight.grad.tolist() == [[1, 1], [1, 1], [1, 1]]


def test_ranges_by_hand():
    rounding = RangeRounding()
    values = torch.tensor([-1.0, 0.1, 1.55], requires_grad=True)
    rounding.measuring = True
    assert rounding.eval()(values) is values
    rounding.measuring = False
    scale = 2.55 / 255
    torch.testing.assert_close(rounding(values), torch.tensor([-1.0, 0.1, 1.55]))
    torch.testing.assert_close(rounding(torch.tensor([0.104, 9.0, -9.0])), torch.tensor([0.10, 1.55, -1.0]))
    beyond = torch.tensor([0.5, 9.0], requires_grad=True)
    rounding(beyond).sum().backward()
    assert beyond.grad.tolist() == [1.0, 0.0]  # nothing passes outside the range
    rounding.train()(torch.tensor([-3.0, 5.55]))
    assert float(rounding.low) == pytest.approx(-1 + 0.01 * -2) and float(rounding.high) == pytest.approx(
        1.55 + 0.04
    )
    assert scale == pytest.approx(0.01)


def test_a_range_without_zero_is_extended_to_it():
    rounding = RangeRounding().eval()
    rounding.low.fill_(2.0)
    rounding.high.fill_(5.1)
    torch.testing.assert_close(
        rounding(torch.tensor([0.0, 2.03])), torch.tensor([0.0, 2.02 + 0.02]), rtol=0, atol=0.011
    )


def test_batch_norm_need_not_be_folded():
    """The integers of a weight and of the weight with its batch norm's factor are the same, up to sign."""
    torch.manual_seed(0)
    weight, factor = (
        torch.randn(6, 4, 3, 3),
        torch.tensor([0.1, -2.0, 3.0, 1.0, -0.01, 7.0])[:, None, None, None],
    )
    torch.testing.assert_close(rounded_weight(weight * factor), rounded_weight(weight) * factor)


def test_rounding_comes_off_without_a_trace(images):
    model = network()
    state, names = (
        {name: tensor.clone() for name, tensor in model.state_dict().items()},
        dict(model.named_parameters()),
    )
    with torch.no_grad():
        before = model(images)
    simulation = Simulation(model, images[:2])
    with torch.no_grad(), simulation.measuring():
        model(images)
    with torch.no_grad():
        assert not torch.equal(model(images), before)
    assert {name: id(each) for name, each in model.named_parameters()} == {n: id(e) for n, e in names.items()}
    simulation.remove()
    with torch.no_grad():
        assert torch.equal(model(images), before)
    assert model.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_weights_are_back_after_an_error(images):
    model = network()
    simulation = Simulation(model, images[:2])
    with pytest.raises(RuntimeError):
        model(images[:, :2])
    assert set(dict(model.named_parameters())) == set(dict(network().named_parameters()))
    simulation.remove()


def test_every_parameter_learns(images):
    model = network().train()
    simulation = Simulation(model, images[:2])
    with simulation.measuring():
        model(images)
    model(images).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())
    simulation.remove()


def test_what_is_rounded_where(images):
    model = network()
    simulation = Simulation(model, images[:2])
    ends = simulation.ends
    block = "body.1"
    assert ends[f"{block}.conv1"]["in"] is ends["body.0.0"]["out"]  # the stem's answer, rounded once
    assert ends[f"{block}.conv1"]["out"] is ends[f"{block}.conv2"]["in"]
    assert ends["body.2.conv1"]["in"] is not ends[f"{block}.conv2"]["out"]  # an addition lies in between
    assert simulation.rectified == {"body.0.0", "body.1.conv1", "body.2.conv1"}
    assert "out" in ends["body.3"] and "out" not in ends["head"]
    simulation.remove()


@pytest.mark.slow
def test_the_simulation_answers_like_the_file(images, tmp_path: Path):
    model, preprocess = network(), Preprocess(12, 3, (0.5,) * 3, (0.25,) * 3)
    pixels = np.random.default_rng(5).integers(0, 256, (24, 12, 12, 3), dtype=np.uint8)
    batch = preprocess(pixels)
    simulation = Simulation(model, batch[:2])
    with torch.no_grad():
        with simulation.measuring():
            model(batch)
        simulated = model(batch).numpy()
    learned = simulation.learned()
    simulation.remove()
    with torch.no_grad():
        exact = model(batch).numpy()
    np.save(tmp_path / "images.npy", pixels)
    export_module(model, preprocess, tmp_path / "f.onnx", describe(("a",) * 5, preprocess, "float32", {}))
    report = quantize({
        "source": str(tmp_path / "f.onnx"), "target": str(tmp_path / "q.onnx"), "images": str(tmp_path / "images.npy"),
        "images_count": 24, "seed": 0, "method": "minmax", "percentile": 100.0, "activations": "uint8", "learned": learned,
    }, lambda done, text: None)  # fmt: skip
    assert len(report["notes"]) == 1  # every learned range found its place
    assert set(learned) == {
        name for name, module in model.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))
    }
    answers = run(onnx.load(tmp_path / "q.onnx"), [batch.numpy()], 1)
    assert sqnr(answers, simulated) > sqnr(answers, exact) + 6
