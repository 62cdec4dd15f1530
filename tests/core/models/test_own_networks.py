"""Networks as people write them: wrapped, in other numbers, for grey images, with side effects; read rightly or refused in words."""

import sys
from pathlib import Path

import pytest
import torch

from core.common.errors import EspalierError
from core.data.preprocess import Preprocess
from core.machine.trusted_files import TrustList
from core.models import trusted_python
from core.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from core.models.memory_format import to_channels_last
from core.models.python_network import build_python
from core.models.trusted_python import PythonSettings, open_python
from core.surgery.meta_copy import count

BASE = """
import torch
from torch import nn
from torch.nn import functional

class Base(nn.Module):
    def __init__(self, classes, channels=3):
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(channels, 8, 3, 2), nn.BatchNorm2d(8), nn.Linear(8, classes)

    def features(self, x):
        return self.norm(self.conv(x)).relu().mean((2, 3))

    def forward(self, x):
        return self.fc(self.features(x))

def make_network(num_classes):
    return Net(num_classes)

"""
SIZE = 16


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Makes the network of a file: `made(code, **settings)` gives settings, network and notes."""
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(trusted_python, "_opened", {})
    trusted = TrustList.default()

    def make(code: str, classes: int = 4, **settings: object):
        path = tmp_path / "mine.py"
        path.write_text(BASE + code)
        trusted.trust(path)
        chosen = PythonSettings(path="mine.py", **settings)
        network = open_python(chosen, tmp_path, trusted)
        return network, *build_python(chosen, network, list("abcdefgh"[:classes]), tmp_path, 7, SIZE)

    return make


def net(*lines: str, start: str = "") -> str:
    """A network with this in its forward()."""
    body = "\n        ".join(lines)
    return (
        f"class Net(Base):\n    def __init__(self, classes):\n        super().__init__(classes)\n        {start or 'pass'}\n"
        f"    def forward(self, x):\n        {body}\n"
    )


PLAIN = net("return super().forward(x)")


def logits(model: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(images.clone())


@pytest.mark.parametrize(
    "wrapped",
    [
        "torch.compile(Net(num_classes))",
        "nn.DataParallel(Net(num_classes))",
        "torch.fx.symbolic_trace(Net(num_classes))",
        "Net(num_classes).double()",
        "Net(num_classes).half()",
    ],
)
def test_wrapped_networks_and_those_of_other_numbers_are_the_plain_ones(made, noise, tmp_path, wrapped):
    _, plain, _ = made(PLAIN)
    network, model, _ = made(f"{PLAIN}\nimport torch.fx\ndef make_network(num_classes): return {wrapped}\n")
    assert all(value.dtype != torch.float64 for value in model.state_dict().values())
    assert torch.allclose(logits(model, noise(SIZE)), logits(plain, noise(SIZE)), atol=2e-3)
    save_checkpoint(tmp_path / "c", Checkpoint(model, network, Preprocess(SIZE), tuple("abcd")))
    assert torch.equal(logits(load_checkpoint(tmp_path / "c").model, noise(SIZE)), logits(model, noise(SIZE)))


def test_layers_that_are_wrapped_inside_keep_their_files(made, noise, tmp_path):
    code = net("return super().forward(x)", start="self.conv = nn.DataParallel(self.conv)")
    network, _, _ = made(code)
    given = trusted_python.call_factory(network.backbone, 4)
    assert "conv.module.weight" in given.state_dict()
    torch.save(given.state_dict(), tmp_path / "w.pth")
    _, model, _ = made(code, weights_file="w.pth")
    assert torch.allclose(logits(model, noise(SIZE)), logits(given, noise(SIZE)), atol=1e-6)


def test_a_misfit_in_the_file_of_a_parametrised_network_is_named(made, tmp_path):
    code = net(
        "return super().forward(x)", start="self.conv = nn.utils.parametrizations.weight_norm(self.conv)"
    )
    network, _, _ = made(code)
    torch.save(trusted_python.call_factory(network.backbone, 9).state_dict(), tmp_path / "w.pth")
    with pytest.raises(EspalierError, match=r"head\.weight: the network has \(4, 8\), the file \(9, 8\)"):
        made(code, weights_file="w.pth")


@pytest.mark.parametrize("way", ["one = Net(4)", "with torch.inference_mode():\n    one = Net(4)"])
def test_a_function_that_gives_the_same_network_every_time_gives_copies(made, noise, tmp_path, way):
    network, first, _ = made(f"{PLAIN}\n{way}\ndef make_network(num_classes): return one\n")
    _, second, _ = made(f"{PLAIN}\n{way}\ndef make_network(num_classes): return one\n")
    before = logits(second, noise(SIZE))
    first.train()(noise(SIZE)).sum().backward()
    with torch.no_grad():
        for weight in first.parameters():
            weight.add_(1)
    assert torch.equal(logits(second, noise(SIZE)), before)
    save_checkpoint(tmp_path / "c", Checkpoint(first, network, Preprocess(SIZE), tuple("abcd")))
    assert torch.equal(logits(load_checkpoint(tmp_path / "c").model, noise(SIZE)), logits(first, noise(SIZE)))


def test_grey_images_are_the_mean_of_the_colours(made, noise):
    grey = f"{PLAIN}\ndef make_network(num_classes): return Base(num_classes, 1)\n"
    _, model, notes = made(grey)
    assert notes == [
        "It takes grey images: of colours, the mean over the normalised channels is given to it."
    ]
    alike = noise(SIZE)[:, :1].expand(-1, 3, -1, -1)
    with torch.no_grad():
        network = model.eval().body.network
        assert torch.allclose(logits(model, alike), model.head(network(alike[:, :1])), atol=1e-6)
    assert model.train()(noise(SIZE)).requires_grad and count(model, SIZE).macs > 0


@pytest.mark.parametrize("change", ["x.sub_(0.5).div_(2)", "x = functional.relu(x, inplace=True)"])
def test_a_network_that_writes_into_its_images_gets_a_copy(made, noise, change):
    _, model, _ = made(net(change, "return super().forward(x)"))
    images = noise(SIZE)
    before = images.clone()
    with torch.no_grad():
        first = model.eval()(images)
        assert torch.equal(images, before) and torch.equal(model(images), first)


@pytest.mark.parametrize("form", ["nn.Sigmoid()", "torch.sigmoid"])
def test_a_sigmoid_is_cut_where_a_person_agrees(made, noise, form):
    code = net("return self.end(super().forward(x))", start=f"self.end = {form}")
    with pytest.raises(EspalierError, match=r"ends in a sigmoid: it gives probabilities.*'Cut the softmax'"):
        made(code)
    _, model, notes = made(code, cut_softmax=True)
    _, plain, _ = made(PLAIN)
    assert torch.allclose(logits(model, noise(SIZE)), logits(plain, noise(SIZE)), atol=1e-4)
    assert notes[0].startswith("The sigmoid")


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("nn.init.zeros_(self.fc.weight); self.fc.bias.data.fill_(0.3)", ""),
        ("self.fc.weight.data.abs_().mul_(1e-3); self.fc.bias.data.zero_()", ".relu()"),
    ],
)
def test_logits_that_lie_in_0_to_1_by_chance_are_no_probabilities(made, start, end):
    _, _, notes = made(net(f"return super().forward(x){end}", start=start), classes=2)
    assert notes == []


def test_tensors_that_are_attributes_move_with_the_network(made, noise, tmp_path):
    start = "self.mean = torch.full((1, 3, 1, 1), 0.5)"
    network, model, _ = made(net("return super().forward(x - self.mean)", start=start))
    assert count(model, SIZE).macs > 0  # on the device without numbers
    assert "mean" in model.body.network._buffers and not any("mean" in name for name in _state(model))
    save_checkpoint(tmp_path / "c", Checkpoint(model, network, Preprocess(SIZE), tuple("abcd")))
    assert torch.equal(logits(load_checkpoint(tmp_path / "c").model, noise(SIZE)), logits(model, noise(SIZE)))


def _state(model: torch.nn.Module) -> list[str]:
    return [name for name in model.state_dict() if not name.endswith("running_mean")]


def test_random_tensors_that_no_file_keeps_are_refused(made, tmp_path):
    network, model, _ = made(
        net("return super().forward(x - self.mean)", start="self.mean = torch.rand(1, 3, 1, 1)")
    )
    with pytest.raises(
        EspalierError, match=r"its tensor mean is no parameter and no buffer that is saved"
    ) as caught:
        save_checkpoint(tmp_path / "c", Checkpoint(model, network, Preprocess(SIZE), tuple("abcd")))
    assert "register_buffer" in caught.value.advice


def test_layers_that_get_no_gradient_are_named(made):
    _, _, notes = made(net("return self.fc(self.features(x).detach())"))
    assert notes == [
        "In training, no gradient reaches 2 layers that the network uses (conv, norm): they stay as they are."
    ]


def test_a_layer_behind_detach_is_no_auxiliary_layer(made, noise):
    start = "self.still, self.aux = nn.Conv2d(8, 8, 1), nn.Linear(8, classes)"
    maps = "maps = self.still(self.norm(self.conv(x))).detach(); f = maps.mean((2, 3))"
    _, model, notes = made(net(maps, "return self.fc(f), self.aux(f)", start=start))
    _, plain, _ = made(net(maps, "return self.fc(f)", start=start))
    assert torch.allclose(logits(model, noise(SIZE)), logits(plain, noise(SIZE)), atol=1e-6)
    assert notes == [
        "The network gives several outputs, of which number 1 is taken as the logits; layers that only serve others (aux) "
        "were taken out."
    ]


def test_what_a_network_says_in_training_is_kept(made):
    code = net("assert not self.training, 'labels wanted'", "return super().forward(x)")
    _, model, notes = made(code)
    assert model.body.stops == "AssertionError: labels wanted" and "stops on two images" in notes[0]


def test_weights_of_five_axes_are_trained_in_any_order_of_memory(made, noise):
    start = "self.conv3 = nn.Conv3d(1, 8, 3, padding=1)"
    _, model, _ = made(net("return self.fc(self.conv3(x[:, None]).mean((2, 3, 4)))", start=start))
    assert to_channels_last(model, "cpu")(noise(SIZE)).shape == (2, 4)


def test_messages_name_the_persons_file_and_not_the_runs_copy():
    network = trusted_python.PythonNetwork(b"", "0123456789ab-mine.py", "Net", "n", {})
    assert network.backbone().title == "Net of mine.py"


def test_train_may_return_nothing(made, noise):
    _, model, _ = made(PLAIN + "    def train(self, mode=True):\n        super().train(mode)\n")
    assert model.train()(noise(SIZE)).requires_grad


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (net("return self.more[0](super().forward(x))", start="self.more = [nn.Linear(classes, classes)]"),
         r"keeps layers or weights in a plain list or dictionary \(more\), where PyTorch does not see them"),
        (net("return super().forward(x)", start="import threading; self.lock = threading.Lock()"),
         r"holds something that cannot be copied, in lock: cannot pickle '_thread\.lock' object\."),
        (net("return super().forward(x).squeeze()"), "stops on one image alone: .*"),
        (net("return self.fc(self.features(x).squeeze())"), "stops on one image alone: .*squeeze\\(\\) without an axis"),
        (net("f = self.features(x)", "return self.fc(f - f.mean(0))"),
         "gives an image other logits when another one is beside it"),
        (net("return super().forward(x)", start="self.norm = nn.BatchNorm2d(8, track_running_stats=False)"),
         "gives an image other logits when another one is beside it"),
        (PLAIN + "\ndef make_network(num_classes): return Base(num_classes, 4)", "takes images of 4 channels"),
        (PLAIN + "\ndef make_network(num_classes): return torch.jit.trace(Net(num_classes).eval(), torch.ones(1, 3, 16, 16))",
         "is TorchScript, or holds some"),
        (PLAIN + "\ndef make_network(num_classes):\n    import torch.ao.quantization as q\n"
         "    return q.quantize_dynamic(Net(num_classes), {nn.Linear})", "holds quantized layers"),
        (PLAIN + "\ndef make_network(num_classes):\n    with torch.device('meta'): return Net(num_classes)",
         "has weights without values"),
        (PLAIN + "\ndef make_network(num_classes):\n    input('which? ')\n    return Net(num_classes)", "EOF when reading a line"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_cannot_be_worked_on_is_refused_in_words(made, code, message):
    with pytest.raises(EspalierError, match=message):
        made(code)


def test_a_network_that_reads_numbers_out_is_refused_where_it_is_counted(made):
    code = net("return super().forward(torch.from_numpy(x.detach().numpy()))")
    _, model, _ = made(code)
    with pytest.raises(EspalierError, match="cannot be followed on images without numbers"):
        count(model, SIZE)


def test_a_file_has_no_lasting_effects(made, noise, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["espalier", "check", "x.yaml"])
    folder, threads = Path.cwd(), torch.get_num_threads()
    code = f"""
import argparse, os
arguments = argparse.ArgumentParser().parse_args()
os.chdir("/")
torch.set_default_dtype(torch.float64)
torch.set_grad_enabled(False)
torch.set_num_threads(3)
torch.use_deterministic_algorithms(True)
{PLAIN}
def make_network(num_classes):
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("cpu")
    return Net(num_classes)
"""
    _, model, notes = made(code)
    assert torch.get_default_dtype() == torch.float32 and torch.is_grad_enabled()
    assert torch.get_num_threads() == threads and not torch.are_deterministic_algorithms_enabled()
    assert Path.cwd() == folder and sys.argv[0] == "espalier" and sys.stdin is not None
    assert model.train()(noise(SIZE)).dtype == torch.float32
    assert notes == ["Its weights are float64, with which it does not run here; they became float32."]


def test_lazy_layers_are_filled_in_by_the_first_images(made, noise):
    start = "self.conv, self.fc = nn.LazyConv2d(8, 3, 2), nn.LazyLinear(classes)"
    _, model, _ = made(net("return super().forward(x)", start=start))
    assert logits(model, noise(SIZE)).shape == (2, 4)
