"""Checkpoints: exact after surgery, refused when changed."""

import json
from collections.abc import Iterator

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from core.checkpoint import Checkpoint, content_hash, difference, load_checkpoint, save_checkpoint
from core.data.preprocess import Preprocess
from core.errors import EspalierError
from core.models.catalogue import BACKBONES
from core.models.cifar_resnet import PadShortcut
from core.models.settings import BackboneSettings
from core.stages.prune_channels import PruneChannelsParams, prune_network

CLASSES = tuple("abcdefg")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other make small networks many times slower on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make(name: str = "resnet20", **settings: object) -> tuple[nn.Module, BackboneSettings]:
    network = BackboneSettings(backbone=name, **settings)
    torch.manual_seed(11)
    model = BACKBONES[name].build(network, len(CLASSES))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after training: no statistic at its start
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model.eval(), network


def kept(folder, size: int = 32, name: str = "resnet20", scope: str = "", **settings: object) -> Checkpoint:
    """A checkpoint in `folder`, pruned when a scope is given."""
    model, network = make(name, **settings)
    if scope:
        layers, _ = prune_network(
            model, size, PruneChannelsParams(ratio=0.5, scope=scope), BACKBONES[name].blocks
        )
        assert layers
    checkpoint = Checkpoint(model, network, Preprocess(size), CLASSES, {"stage": "pruned", "share": 0.5})
    save_checkpoint(folder, checkpoint)
    return checkpoint


SMALL, RESNET50, MOBILE = (
    ("resnet20", 28, {"fem": {"place": "pooled"}}),
    ("resnet50", 64, {}),
    ("mobilenet-v3-large", 64, {"head": "original"}),
)


@pytest.mark.parametrize(
    ("name", "size", "settings", "scope"),
    [(*SMALL, "")]
    + [(*case, scope) for case in (SMALL, RESNET50, MOBILE) for scope in ("block-internal", "whole-groups")],
)
def test_what_is_loaded_is_what_was_saved(tmp_path, name, size, settings, scope):
    saved = kept(tmp_path / "c", size, name, scope, **settings)
    loaded = load_checkpoint(tmp_path / "c")
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(saved.model(images), loaded.model(images))
    assert (loaded.network, loaded.preprocess, loaded.classes, loaded.facts, loaded.input_size) == (
        saved.network, saved.preprocess, CLASSES, {"stage": "pruned", "share": 0.5}, size,
    )  # fmt: skip
    assert not loaded.model.training
    own, again = saved.model.state_dict(), loaded.model.state_dict()
    assert own.keys() == again.keys() and all(torch.equal(own[n], again[n]) for n in own)
    assert difference(saved.model, loaded.model) == {}


def test_only_changed_modules_stand_in_the_diff(tmp_path):
    kept(tmp_path / "plain")
    kept(tmp_path / "pruned", scope="block-internal")
    plain, pruned = (
        json.loads((tmp_path / name / "architecture.json").read_text())["diff"]
        for name in ("plain", "pruned")
    )
    assert plain == {}
    assert "body.layer1.0.conv1" in pruned and "body.layer1.0.conv2" in pruned
    assert not {"body.conv1", "head"} & pruned.keys()
    assert pruned["body.layer1.0.conv1"]["arguments"]["out_channels"] == 8
    assert pruned["body.layer1.0.bn1"] == {
        "type": "BatchNorm2d",
        "arguments": {
            "num_features": 8, "eps": 1e-05, "momentum": 0.1, "affine": True, "track_running_stats": True
        },
    }  # fmt: skip


def test_changed_weights_are_refused(tmp_path):
    kept(tmp_path / "c")
    tensors = load_file(tmp_path / "c/weights.safetensors")
    tensors["head.bias"] += 1
    save_file(tensors, tmp_path / "c/weights.safetensors")
    with pytest.raises(EspalierError) as caught:
        load_checkpoint(tmp_path / "c")
    assert caught.value.message == (
        f"The network in {tmp_path / 'c'} gives other answers than when it was saved (largest difference 1)."
    )


@pytest.mark.parametrize("damage", ["missing", "shape", "cut", "type"])
def test_files_that_do_not_fit_together_are_refused(tmp_path, damage):
    kept(tmp_path / "c", scope="block-internal")
    weights, architecture = tmp_path / "c/weights.safetensors", tmp_path / "c/architecture.json"
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:5000])
    elif damage == "type":
        architecture.write_text(architecture.read_text().replace('"Conv2d"', '"Transformer"'))
    else:
        tensors = load_file(weights)
        bias = tensors.pop("head.bias")
        save_file(tensors | ({"head.bias": bias[:3].clone()} if damage == "shape" else {}), weights)
    with pytest.raises(EspalierError, match="does not fit together: its weights are not those"):
        load_checkpoint(tmp_path / "c")


def test_a_newer_format_is_refused(tmp_path):
    kept(tmp_path / "c")
    path = tmp_path / "c/architecture.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    with pytest.raises(EspalierError) as caught:
        load_checkpoint(tmp_path / "c")
    assert caught.value.message == (
        f"The checkpoint in {tmp_path / 'c'} has format 2; this version of Espalier reads format 1."
    )
    assert caught.value.advice == "Open it with the version that wrote it, or a newer one."


@pytest.mark.parametrize("content", [None, "{", "[]", "{}"])
def test_folders_that_are_no_checkpoint_are_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "architecture.json").write_text(content)
    with pytest.raises(EspalierError, match=r"^Expected a checkpoint \(architecture\.json"):
        load_checkpoint(tmp_path)


def test_a_second_save_replaces_the_first_and_leaves_nothing_beside(tmp_path):
    kept(tmp_path / "c")
    first = content_hash(tmp_path / "c")
    kept(tmp_path / "c")
    assert content_hash(tmp_path / "c") == first  # the same network
    kept(tmp_path / "c", scope="block-internal")
    assert content_hash(tmp_path / "c") != first
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_modules_that_cannot_be_described_are_refused_and_nothing_is_written(tmp_path):
    model, network = make()
    model.body.relu = nn.Hardswish()
    with pytest.raises(
        EspalierError, match=r"cannot describe the changed module body\.relu of type Hardswish"
    ):
        save_checkpoint(tmp_path / "c", Checkpoint(model, network, Preprocess(32), CLASSES))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("inputs", "outputs", "size"), [(16, 32, 8), (3, 8, 7), (8, 8, 5)])
def test_the_padding_shortcut_as_a_convolution_is_exact(inputs, outputs, size):
    shortcut = PadShortcut(inputs, outputs)
    images = torch.randn(2, inputs, size, size, generator=torch.Generator().manual_seed(2))
    assert torch.equal(shortcut.as_convolution()(images), shortcut(images))
