"""Weights from files: published names, misfits named, and no code run."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from core.common.errors import EspalierError
from core.models.catalogue import backbone
from core.models.settings import BackboneSettings
from core.models.source import build_network
from core.models.weights import load_weights, own_names, read_state

RESNET = backbone("resnet20")


def network(classes: int = 10, seed: int = 1, **settings: object):
    return build_network(BackboneSettings(**settings), classes, Path(), seed)[0]


def published(model: torch.nn.Module, prefix: str = "") -> dict[str, torch.Tensor]:
    """The state under the names of the widely shared CIFAR weights."""
    return {
        prefix + name.removeprefix("body.").replace("head.", "linear."): tensor
        for name, tensor in model.state_dict().items()
    }


def test_published_weights_load_exactly(tmp_path):
    trained = network(seed=1)
    torch.save(
        {"state_dict": published(trained, "module."), "best_prec1": 91.7, "epoch": 3}, tmp_path / "w.th"
    )
    settings = BackboneSettings(weights="file", weights_file="w.th")
    model, notes = build_network(settings, 10, tmp_path, seed=2)
    assert notes == []
    assert model.state_dict().keys() == trained.state_dict().keys()
    for name, tensor in trained.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name


@pytest.mark.parametrize("wrapper", ["", "model", "model_state_dict"])
def test_state_dicts_are_found_in_the_usual_wrappers(tmp_path, wrapper):
    state = published(network())
    torch.save({wrapper: state} if wrapper else state, tmp_path / "w.pt")
    assert read_state(tmp_path / "w.pt").keys() == state.keys()


def test_safetensors_give_the_same_state(tmp_path):
    state = published(network())
    save_file(state, tmp_path / "w.safetensors")
    read = read_state(tmp_path / "w.safetensors")
    assert all(torch.equal(read[name], tensor) for name, tensor in state.items())


def test_mobilenets_published_names_become_ours():
    state = {name: torch.zeros(1) for name in ("features.0.0.weight", "classifier.3.bias")}
    assert list(own_names(state, backbone("mobilenet-v3-large"))) == ["body.0.0.weight", "head.3.bias"]


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(EspalierError) as caught:
        load_weights(network(5), published(network(10)), RESNET, "The weights in w.th", fresh_head=False)
    assert caught.value.message == (
        "The weights in w.th do not fit ResNet-20 (CIFAR): "
        "head.weight: the network has (5, 64), the file (10, 64); "
        "head.bias: the network has (5,), the file (10,)."
    )
    assert caught.value.advice == "Switch on 'Fresh classifier' to leave the file's classifier out."


def test_missing_and_unexpected_tensors_are_named_and_nothing_is_loaded():
    model, state = network(seed=2), published(network(seed=1))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state["layer9.weight"] = state.pop("conv1.weight")
    with pytest.raises(EspalierError) as caught:
        load_weights(model, state, RESNET, "They", fresh_head=False)
    assert caught.value.message == (
        "They do not fit ResNet-20 (CIFAR): body.conv1.weight: missing in the file; "
        "body.layer9.weight: not in the network."
    )
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_many_misfits_are_counted_and_all_in_the_details():
    with pytest.raises(EspalierError) as caught:
        load_weights(network(), {"conv1.weight": torch.zeros(1)}, RESNET, "They", fresh_head=False)
    expected = sum(not name.endswith("num_batches_tracked") for name in network().state_dict())
    assert f"; and {expected - 6} more." in caught.value.message
    assert len(caught.value.details.splitlines()) == expected


class Attack:
    """Unpickling this makes a folder."""

    def __init__(self, folder: Path):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_a_file_with_code_is_refused_and_the_code_not_run(tmp_path):
    torch.save({"state_dict": published(network()), "extra": Attack(tmp_path / "ran")}, tmp_path / "w.pth")
    with pytest.raises(EspalierError) as caught:
        read_state(tmp_path / "w.pth")
    assert caught.value.message == (
        "w.pth holds more than weights, and opening it could run code, so it was not opened."
    )
    assert not (tmp_path / "ran").exists()
    torch.load(tmp_path / "w.pth", weights_only=False)
    assert (tmp_path / "ran").exists()  # so the file really was one that runs code


def test_files_that_are_no_weights_are_refused(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"no weights")
    with pytest.raises(
        EspalierError, match=r"^w\.safetensors cannot be read as a weights file: it is cut off, damaged"
    ):
        read_state(tmp_path / "w.safetensors")
    torch.save([1, 2], tmp_path / "w.pt")
    with pytest.raises(EspalierError, match=r"Expected a state dict .* in w\.pt, received list\."):
        read_state(tmp_path / "w.pt")
    with pytest.raises(EspalierError, match=r"^Expected a weights file, found none at .*w\.th"):
        read_state(tmp_path / "w.th")


def test_a_fresh_head_keeps_the_new_classifier_and_takes_the_body():
    model, trained = network(5, seed=2), network(10, seed=1)
    head = model.head.weight.clone()
    notes = load_weights(model, published(trained), RESNET, "They", fresh_head=True)
    assert notes == ["The classifier starts fresh."]
    assert torch.equal(model.head.weight, head)
    assert torch.equal(model.body.layer3[2].conv2.weight, trained.body.layer3[2].conv2.weight)


def test_the_fem_starts_fresh_where_the_file_has_none():
    model = network(fem={"place": "pooled"}, seed=2)
    fusion = model.fem.shallow[0].weight.clone()
    notes = load_weights(model, published(network()), RESNET, "They", fresh_head=False)
    assert notes == ["The Feature Enhancement Module starts fresh; published weights have none."]
    assert torch.equal(model.fem.shallow[0].weight, fusion)


def test_the_seed_alone_makes_random_weights():
    one, same, other = network(seed=1), network(seed=1), network(seed=2)
    assert torch.equal(one.body.conv1.weight, same.body.conv1.weight)
    assert not torch.equal(one.body.conv1.weight, other.body.conv1.weight)


def test_imagenet_weights_that_are_not_here_say_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(EspalierError) as caught:
        network(backbone="resnet50", weights="imagenet")
    assert caught.value.message == "The ImageNet weights of ResNet-50 are not on this machine."
    assert caught.value.advice.startswith("Run 'espalier weights resnet50' to download them")


STAND_INS = {
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 45678901\n",
    "a git-annex pointer": b"/annex/objects/SHA256E-s45678901--4d7a.pth\n",
    "a web page": b"\n<!DOCTYPE html>\n<html><title>Sign in</title></html>",
    "an XML document": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    "empty": b"",
    "none": b"just some words",
}


@pytest.mark.parametrize("kind", STAND_INS)
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_what_stands_in_for_a_weights_file_is_called_what_it_is(kind, name, tmp_path):
    if (kind, name) == ("none", "w.safetensors"):
        return  # said by the test above
    (tmp_path / name).write_bytes(STAND_INS[kind])
    with pytest.raises(EspalierError, match=rf"^Expected a weights file, but {name} is {kind}"):
        read_state(tmp_path / name)
