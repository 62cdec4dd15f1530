"""A person's own network: run only when trusted, taken apart by running it, and kept with its code."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from core.common.command_lines import command_line
from core.common.content_hashes import MANIFEST, DamagedError
from core.common.errors import EspalierError
from core.data.preprocess import HALF, IMAGENET, Preprocess
from core.machine.trusted_files import TrustList
from core.models import trusted_python
from core.models.catalogue import backbone, is_backbone
from core.models.checkpoint import Checkpoint, content_hash, load_checkpoint, network_of, save_checkpoint
from core.models.python_network import build_python
from core.models.trusted_python import PythonSettings, call_factory, open_python

NETWORK = """
from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class Widths:
    first: int


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x):
        return x + self.conv2(self.conv1(x).relu())


class Net(nn.Module):
    def __init__(self, num_classes, width=8):
        super().__init__()
        width = Widths(width).first
        self.stem = nn.Conv2d(3, width, 3, stride=2)
        self.block = Block(width)
        self.classifier = nn.Sequential(nn.Dropout(0.1), nn.Linear(width, num_classes))

    def forward(self, x):
        return self.classifier(self.block(self.stem(x)).mean((2, 3)))
"""


@pytest.fixture
def trusted(tmp_path, monkeypatch) -> TrustList:
    """The list of a person who trusts nothing yet, and a process that opened nothing."""
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(trusted_python, "_opened", {})
    return TrustList.default()


def write(folder: Path, code: str, trusted: TrustList) -> PythonSettings:
    """Settings for a file in `folder` that is trusted."""
    path = folder / "mine.py"
    path.write_text(code)
    trusted.trust(path)
    return PythonSettings(path="mine.py", factory="Net")


def build(settings: PythonSettings, folder: Path, trusted: TrustList, classes: int = 4):
    network = open_python(settings, folder, trusted)
    names = [f"class {number}" for number in range(classes)]
    model, notes = build_python(settings, network, names, folder, seed=7, image_size=16)
    return network, model, notes


def test_the_last_layer_becomes_the_head_and_the_logits_stay(tmp_path, trusted, noise):
    settings = write(tmp_path, NETWORK, trusted)
    network, model, notes = build(settings, tmp_path, trusted)
    assert notes == [] and model.body.classifier == "classifier.1"
    assert (model.head.in_features, model.head.out_features) == (8, 4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        alone = call_factory(network.backbone, 4).eval()
    with torch.no_grad():
        assert torch.equal(model.eval()(noise(16)), alone(noise(16)))
        assert model.body(noise(16)).shape == (2, 8, 1, 1)
    assert model.train().training and model.body.network.training


def test_a_checkpoint_keeps_the_code_and_asks_for_trust_again(tmp_path, trusted, noise, monkeypatch):
    settings = write(tmp_path, NETWORK, trusted)
    network, model, _ = build(settings, tmp_path, trusted)
    model.body.network.block = torch.nn.Identity()  # a dropped block
    saved = tmp_path / "c"
    save_checkpoint(saved, Checkpoint(model, network, Preprocess(16), tuple("abcd")))
    assert (saved / "network.py").read_text() == NETWORK
    (tmp_path / "mine.py").unlink()  # the copy is enough
    monkeypatch.setattr(trusted_python, "_opened", {})  # as in another process
    loaded = load_checkpoint(saved)
    with torch.no_grad():
        assert torch.equal(loaded.model(noise(16)), model(noise(16)))
    assert loaded.network == network == network_of(saved)
    save_checkpoint(tmp_path / "d", loaded)  # the next stage's
    assert content_hash(tmp_path / "d") == content_hash(saved)
    TrustList.default().path.unlink()
    with pytest.raises(EspalierError, match=r"it is not on your list of trusted files"):
        load_checkpoint(saved)


def test_code_that_is_not_trusted_is_not_run(tmp_path, trusted):
    path = tmp_path / "mine.py"
    path.write_text(f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n{NETWORK}")
    settings = PythonSettings(path=str(path), factory="Net")
    with pytest.raises(EspalierError) as caught:
        open_python(settings, tmp_path, trusted)
    assert caught.value.message == (
        f"{path} is Python code, which can do anything that you can do, so it was not run: "
        "it is not on your list of trusted files."
    )
    assert caught.value.advice == "Look through it, and say that you trust it."
    assert caught.value.command == command_line("trust", path)
    assert not (tmp_path / "ran").exists()
    trusted.trust(path)
    open_python(settings, tmp_path, trusted)
    assert (tmp_path / "ran").exists()  # so it really was one that does something


@pytest.mark.parametrize("damage", ["code", "call", "cut"])
def test_a_changed_copy_is_refused(tmp_path, trusted, damage):
    network, model, _ = build(write(tmp_path, NETWORK, trusted), tmp_path, trusted)
    save_checkpoint(tmp_path / "c", Checkpoint(model, network, Preprocess(16), tuple("abcd")))
    code, call = tmp_path / "c/network.py", tmp_path / "c/network.json"
    if damage == "code":
        code.write_text(NETWORK.replace("relu", "tanh"))
        trusted.trust(code)
    elif damage == "call":
        call.write_text(json.dumps(json.loads(call.read_text()) | {"factory": "Widths"}))
    else:
        call.write_text("{}")
    expected = (
        "found none that can be read" if damage == "cut" else "was changed after the checkpoint was written"
    )
    with pytest.raises(DamagedError):
        load_checkpoint(tmp_path / "c")
    (tmp_path / "c" / MANIFEST).unlink()  # as a version before wrote it
    with pytest.raises(EspalierError, match=expected):
        load_checkpoint(tmp_path / "c")


def test_the_pipeline_can_name_the_file_by_its_hash(tmp_path, trusted):
    settings = write(tmp_path, NETWORK, trusted)
    digest = hashlib.sha256(NETWORK.encode()).hexdigest()
    assert open_python(settings.model_copy(update={"trusted_sha256": digest}), tmp_path, trusted)
    with pytest.raises(EspalierError) as caught:
        open_python(settings.model_copy(update={"trusted_sha256": "0" * 64}), tmp_path, trusted)
    assert caught.value.message == (
        f"{tmp_path / 'mine.py'} is not the file that this pipeline was made with: "
        f"its SHA-256 is {digest}, expected {'0' * 64}."
    )


def test_whatever_makes_another_network_makes_another_name(tmp_path, trusted):
    settings = write(tmp_path, NETWORK, trusted)
    names = {
        open_python(settings.model_copy(update=change), tmp_path, trusted).backbone
        for change in ({}, {"arguments": "{width: 4}"}, {"factory": "Block"}, {"classes_argument": ""})
    }
    assert len(names) == 4
    assert open_python(settings, tmp_path, trusted).backbone in names  # the same again
    assert not any(is_backbone(name) for name in names)  # no name to choose from a list


def test_arguments_and_weights_arrive(tmp_path, trusted):
    settings = write(tmp_path, NETWORK, trusted).model_copy(update={"arguments": "{width: 4}"})
    _, trained, _ = build(settings, tmp_path, trusted, classes=6)
    names = {"head.": "classifier.1.", "body.network.": ""}
    state = {}
    for name, tensor in trained.state_dict().items():
        for ours, theirs in names.items():
            if name.startswith(ours):
                state[theirs + name.removeprefix(ours)] = tensor + 1
    torch.save(state, tmp_path / "w.pth")
    weighted = settings.model_copy(update={"weights_file": "w.pth"})
    _, model, notes = build(weighted, tmp_path, trusted, classes=6)
    assert notes == []
    for name, tensor in trained.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor + 1), name
    with pytest.raises(
        EspalierError, match=r"The weights in w\.pth do not fit Net of mine\.py: head\.weight"
    ):
        build(weighted, tmp_path, trusted, classes=4)
    fresh = weighted.model_copy(update={"fresh_head": True})
    _, model, notes = build(fresh, tmp_path, trusted, classes=4)
    assert notes == ["The classifier starts fresh."] and model.head.out_features == 4


def test_settings_say_what_the_catalogue_says_of_others(tmp_path, trusted):
    settings = write(tmp_path, NETWORK, trusted).model_copy(update={"blocks": "Block, Other"})
    assert backbone(open_python(settings, tmp_path, trusted).backbone).blocks == ("Block", "Other")
    assert settings.normalise() is None
    assert PythonSettings(path="x", normalisation="half").normalise() == HALF
    assert PythonSettings(path="x", normalisation="imagenet").normalise() == IMAGENET


BODY = "import torch\nfrom torch import nn\nclass Net(nn.Module):\n"


def linear_then(rest: str) -> str:
    return (
        f"{BODY}    def __init__(self, num_classes):\n        super().__init__()\n"
        f"        self.fc = nn.Linear(3, num_classes)\n    def forward(self, x):\n        {rest}\n"
    )


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("Net = 1", "Expected a function or class 'Net' in mine.py, found none."),
        ("import there_is_no_such_thing", "mine.py stopped while it was being opened: ModuleNotFoundError"),
        ("raise SystemExit(3)", "mine.py stopped while it was being opened: SystemExit: 3."),
        ("def Net(): pass", "Net of mine.py stopped: TypeError: Net() got an unexpected keyword argument"),
        ("def Net(num_classes): return 5", "Net of mine.py gave int, expected a network (torch.nn.Module)."),
        (
            linear_then("return self.fc(x)"),
            "Net of mine.py stopped on two images of 16 px: RuntimeError: mat1 and mat2",
        ),
        (
            linear_then("return x"),
            "Net of mine.py gave (2, 3, 16, 16) for two images, expected logits of shape (2, 4).",
        ),
        (
            linear_then("return {'features': x, 'size': 3}"),
            "Net of mine.py gave features: (2, 3, 16, 16) for two images, expected logits of shape (2, 4).",
        ),
        (
            linear_then("f = self.fc(x.mean((2, 3))); return {'one': f, 'other': -f}"),
            "Net of mine.py gives several outputs of one number for every class (one, other), and none of them",
        ),
        (
            linear_then("return self.fc(x.mean((2, 3))).softmax(1)"),
            "Net of mine.py ends in a softmax: it gives probabilities, where losses and files expect logits.",
        ),
        (
            linear_then("return self.fc(x.mean((2, 3))) * float('nan')"),
            "Net of mine.py gives logits that are no finite numbers (NaN or infinite) for images of noise.",
        ),
        (
            linear_then("return self.fc(x.mean((2, 3)) + torch.rand(1))"),
            "Net of mine.py gives other logits for the same images when it is run again.",
        ),
    ],
)
def test_files_that_give_no_classifier_are_refused_in_words(tmp_path, trusted, code, message):
    with pytest.raises(EspalierError) as caught:
        build(write(tmp_path, code, trusted), tmp_path, trusted)
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize("text", ["5", "[1]", "{a: [1]}", "{a: {b: 1}}", "{1: 2}", "{a b: 1}", "{a: "])
def test_arguments_that_are_no_mapping_of_plain_values_are_refused(text):
    with pytest.raises(ValueError, match="expected names with numbers, texts or switches"):
        PythonSettings(path="x", arguments=text)


def test_what_was_not_opened_says_so(trusted):
    with pytest.raises(
        EspalierError, match=r"^The network is a person's own, and its Python file has not been opened"
    ):
        backbone("python:" + "0" * 64)


def test_missing_files_are_named(tmp_path, trusted):
    with pytest.raises(EspalierError, match=r"^Expected a Python file at .*mine\.py, found none"):
        open_python(PythonSettings(path="mine.py"), tmp_path, trusted)


def test_the_settings_are_read_without_torch():
    code = "import sys; from core.models.trusted_python import PythonSettings; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "False"


FORMS = """
import torch
from torch import nn
from torch.nn import functional


class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv, self.aux, self.fc = nn.Conv2d(3, 8, 3, 2), nn.Linear(8, num_classes), nn.Linear(8, num_classes)
        self.score, self.softmax = nn.Conv2d(8, num_classes, 1), nn.Softmax(1)

    def forward(self, x):
        maps = self.conv(x).relu()
        f = maps.mean((2, 3))
        return FORM
"""


def in_form(form: str, folder: Path, trusted: TrustList, **settings: object):
    code = FORMS.replace("FORM", form)
    return build(write(folder, code, trusted).model_copy(update=settings), folder, trusted)


@pytest.mark.parametrize(
    ("form", "main", "whole"),
    [
        ("(self.fc(f), self.aux(f)) if self.training else self.fc(f)", "self.fc(f)", False),
        ("(f, self.fc(f))", "self.fc(f)", False),
        ("{'aux': self.aux(f), 'logits': self.fc(f)}", "self.fc(f)", False),
        ("self.score(maps).relu().mean((2, 3))", "self.score(maps).relu().mean((2, 3))", True),
        ("self.score(maps).mean((2, 3), keepdim=True)", "self.score(maps).mean((2, 3))", True),
        ("3 * functional.linear(functional.normalize(f), functional.normalize(self.fc.weight))",) * 2
        + (True,),
        ("(self.fc(f) + self.aux(f)) / 2", "(self.fc(f) + self.aux(f)) / 2", True),
    ],
)
def test_outputs_and_heads_of_every_form(tmp_path, trusted, noise, form, main, whole):
    network, model, notes = in_form(form, tmp_path, trusted)
    _, alone, _ = in_form(main, tmp_path, trusted)
    assert model.body.whole == whole and bool(notes) == (not whole)  # what was found among several is said
    with torch.no_grad():
        assert torch.allclose(model.eval()(noise(16)), alone.eval()(noise(16)), atol=1e-6)
    logits = model.train()(noise(16))
    assert logits.shape == (2, 4) and logits.requires_grad
    save_checkpoint(tmp_path / "c", Checkpoint(model, network, Preprocess(16), tuple("abcd")))
    with torch.no_grad():
        assert torch.equal(load_checkpoint(tmp_path / "c").model(noise(16)), model.eval()(noise(16)))


def test_what_only_serves_auxiliary_outputs_is_taken_out_and_named(tmp_path, trusted):
    _, model, notes = in_form("(self.fc(f), self.aux(f)) if self.training else self.fc(f)", tmp_path, trusted)
    assert not any("aux" in name for name, _ in model.named_parameters())
    assert notes == [
        "The network gives several outputs, of which number 1 is taken as the logits; layers that only serve "
        "others (aux, score) were taken out."
    ]


@pytest.mark.parametrize("form", ["self.softmax(self.fc(f))", "functional.softmax(self.fc(f), 1)"])
def test_a_softmax_is_cut_where_a_person_agrees(tmp_path, trusted, noise, form):
    _, model, notes = in_form(form, tmp_path, trusted, cut_softmax=True)
    _, alone, _ = in_form("self.fc(f)", tmp_path, trusted)
    with torch.no_grad():
        assert torch.allclose(
            model.eval()(noise(16)).softmax(1), alone.eval()(noise(16)).softmax(1), atol=1e-6
        )
    assert "softmax" in notes[0]
    names = {
        open_python(
            PythonSettings(path="mine.py", factory="Net", cut_softmax=cut), tmp_path, trusted
        ).backbone
        for cut in (True, False)
    }
    assert len(names) == 2


def test_a_network_is_called_as_before_there_was_a_softmax_to_cut(tmp_path, trusted):
    call = trusted_python.PythonNetwork(b"", "mine.py", "Net", "n", {}).call()
    assert call == {
        "file": "mine.py",
        "factory": "Net",
        "classes_argument": "n",
        "arguments": {},
        "blocks": [],
    }


NORMED = FORMS.replace(
    "nn.Conv2d(3, 8, 3, 2)", "nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3, 2))"
)


def test_parametrised_weights_become_plain_ones_and_their_files_fit(tmp_path, trusted, noise):
    settings = write(tmp_path, NORMED.replace("FORM", "self.fc(f)"), trusted)
    network, _, notes = build(settings, tmp_path, trusted)
    assert notes == ["The parametrisations of 1 layers (conv) became plain weights."]
    given = call_factory(network.backbone, 4).eval()
    given.conv.parametrizations.weight.original0.data.mul_(2)
    torch.save(given.state_dict(), tmp_path / "w.pth")
    _, model, _ = build(settings.model_copy(update={"weights_file": "w.pth"}), tmp_path, trusted)
    with torch.no_grad():
        assert torch.allclose(model.eval()(noise(16)), given(noise(16)), atol=1e-6)


def test_weights_that_stand_in_two_layers_are_kept_once(tmp_path, trusted, noise):
    code = FORMS.replace("FORM", "self.fc(f)").replace("nn.Conv2d(8, num_classes, 1)", "self.conv")
    network, model, _ = build(write(tmp_path, code, trusted), tmp_path, trusted)
    save_checkpoint(tmp_path / "c", Checkpoint(model, network, Preprocess(16), tuple("abcd")))
    loaded = load_checkpoint(tmp_path / "c").model
    assert loaded.body.network.score is loaded.body.network.conv
    with torch.no_grad():
        assert torch.equal(loaded(noise(16)), model.eval()(noise(16)))
    state = json.loads((tmp_path / "c" / "architecture.json").read_text())
    assert state["diff"] == {}


def test_a_file_may_import_torchvision(tmp_path, trusted):
    code = """
import torchvision

def Net(num_classes):
    return torchvision.models.shufflenet_v2_x0_5(weights=None, num_classes=num_classes)
"""
    _, model, _ = in_form_of_file(code, tmp_path, trusted)
    assert model.head.out_features == 4


def in_form_of_file(code: str, folder: Path, trusted: TrustList):
    settings = write(folder, code, trusted)
    network = open_python(settings, folder, trusted)
    model, notes = build_python(settings, network, tuple("abcd"), folder, seed=7, image_size=32)
    return network, model, notes
