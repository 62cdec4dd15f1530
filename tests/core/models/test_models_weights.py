"""Weights from files: published names, misfits named, and no code run."""

import argparse
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from core.common.errors import EspalierError
from core.models.catalogue import backbone
from core.models.settings import BackboneSettings
from core.models.source import build_network
from core.models.weight_files import merge, read_weights
from core.models.weights import load_weights, own_names

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
    assert read_weights(tmp_path / "w.pt").tensors.keys() == state.keys()


def test_safetensors_give_the_same_state(tmp_path):
    state = published(network())
    save_file(state, tmp_path / "w.safetensors")
    read = read_weights(tmp_path / "w.safetensors").tensors
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
        read_weights(tmp_path / "w.pth")
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
        read_weights(tmp_path / "w.safetensors")
    torch.save([1, 2], tmp_path / "w.pt")
    with pytest.raises(EspalierError, match=r"Expected a state dict .* in w\.pt, received list\."):
        read_weights(tmp_path / "w.pt")
    with pytest.raises(
        EspalierError, match=r"^Expected a weights file, found none at .*w\.th\. Put it there"
    ):
        read_weights(tmp_path / "w.th")


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
    assert caught.value.advice.startswith("Download them (in the window: Settings, Downloads)")


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
        read_weights(tmp_path / name)


def wrapped(kind: str, state: dict[str, torch.Tensor]) -> object:
    """A state dict as a training program writes it."""
    zeros = {name: tensor * 0 for name, tensor in state.items()}
    return {
        "compiled": {f"_orig_mod.{name}": tensor for name, tensor in state.items()},
        "data parallel and compiled": {f"module._orig_mod.{name}": tensor for name, tensor in state.items()},
        "Lightning": {
            "state_dict": {f"model.{name}": tensor for name, tensor in state.items()} | {"criterion.weight": torch.ones(10)},
            "pytorch-lightning_version": "2.4", "hyper_parameters": {"lr": 0.1}, "optimizer_states": [{"state": {}}],
        },
        "a name of one's own": {f"learner.encoder.{name}": tensor for name, tensor in state.items()},
        "beside an optimizer": {
            "model": state, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": []}, "epoch": 3,
            "args": argparse.Namespace(lr=0.1), "best": np.float64(91.2), "lr_scheduler": {"last_epoch": 3},
        },
        "DeepSpeed": {"module": state, "optimizer": None, "ds_config": {"zero": 1}},
        "an unknown key": {"my_weights": state, "epoch": 1},
        "values beside": {**state, "epoch": 3, "arch": "resnet20"},
        "timm, with averages": {"state_dict": state, "state_dict_ema": zeros, "arch": "resnet20", "metric": 90.1},
        "torchvision, with averages": {"model": state, "model_ema": {"n_averaged": torch.tensor(3)} | {f"module.{n}": t for n, t in zeros.items()}},
        "averages among the names": {"state_dict": {f"model.{n}": t for n, t in state.items()} | {f"ema_model.{n}": t for n, t in zeros.items()}},
        "averages only": {"ema_state_dict": state},
        "bfloat16": {name: tensor.bfloat16() if tensor.is_floating_point() else tensor for name, tensor in state.items()},
    }[kind]  # fmt: skip


FORMS = {
    "compiled": "",
    "data parallel and compiled": "",
    "Lightning": "begin with 'model.'",
    "a name of one's own": "begin with 'learner.encoder.'",
    "beside an optimizer": "",
    "DeepSpeed": "",
    "an unknown key": "",
    "values beside": "",
    "timm, with averages": "also holds averaged weights (state_dict_ema)",
    "torchvision, with averages": "also holds averaged weights (model_ema)",
    "averages among the names": "also holds averaged weights (ema_model)",
    "averages only": "holds averaged weights (ema_state_dict) only",
    "bfloat16": "",
}


@pytest.mark.parametrize("kind", FORMS)
def test_files_of_training_programs_are_read(kind: str, tmp_path: Path) -> None:
    state = {name: tensor.bfloat16().float() for name, tensor in published(network(seed=1)).items()}
    torch.save(wrapped(kind, state), tmp_path / "w.ckpt")
    model, notes = build_network(
        BackboneSettings(weights="file", weights_file="w.ckpt"), 10, tmp_path, seed=2
    )
    assert torch.equal(model.body.conv1.weight, state["conv1.weight"])
    assert FORMS[kind] in " ".join(notes) and (FORMS[kind] or not notes), notes


@pytest.mark.parametrize("kind", [kind for kind in FORMS if "averages" in kind and "only" not in kind])
def test_averaged_weights_are_taken_when_a_person_says_so(kind: str, tmp_path: Path) -> None:
    torch.save(wrapped(kind, published(network(seed=1))), tmp_path / "w.pth")
    settings = BackboneSettings(weights="file", weights_file="w.pth", averaged=True)
    model, notes = build_network(settings, 10, tmp_path, seed=2)
    assert not model.body.conv1.weight.any() and "averaged weights" in notes[0]
    torch.save(published(network()), tmp_path / "w.pth")
    with pytest.raises(
        EspalierError, match=r"Expected averaged weights \(EMA\) in w\.pth, which holds a state dict"
    ):
        build_network(settings, 10, tmp_path, seed=2)


def test_values_that_are_no_numbers_are_named() -> None:
    state = published(network())
    state["layer2.0.conv1.weight"][0, 0] = float("nan")
    with pytest.raises(
        EspalierError, match=r"They hold values that are not finite.*body\.layer2\.0\.conv1\.weight \(9 of"
    ):
        load_weights(network(seed=2), state, RESNET, "They", fresh_head=False)
    state = published(network())
    state["linear.weight"][0] = float("inf")
    load_weights(network(seed=2), state, RESNET, "They", fresh_head=True)  # the classifier is left out


def test_integers_in_the_place_of_weights_are_refused() -> None:
    state = published(network())
    state["conv1.weight"] = (state["conv1.weight"] * 100).to(torch.int8)
    with pytest.raises(EspalierError, match=r"body\.conv1\.weight: the network has float32, the file int8"):
        load_weights(network(), state, RESNET, "They", fresh_head=False)


def test_another_networks_names_are_shown_beside_those_expected() -> None:
    state = {f"encoder.layer.{index}.dense.weight": torch.ones(3, 3) for index in range(8)}
    with pytest.raises(EspalierError, match=r"The file has 8 tensors, such as encoder\.layer\.0.*expected are names such as body\.conv1\.weight"):  # fmt: skip
        load_weights(network(), state, RESNET, "They", fresh_head=False)


def test_several_sets_and_none_are_said(tmp_path: Path) -> None:
    state = published(network())
    torch.save({"student": state, "teacher": state}, tmp_path / "w.pth")
    with pytest.raises(EspalierError, match=r"w\.pth holds several sets of weights: student, teacher"):
        read_weights(tmp_path / "w.pth")
    torch.save({"epoch": 3, "optimizer": {"state": {0: torch.ones(2)}}}, tmp_path / "w.pth")
    with pytest.raises(EspalierError, match=r"in w\.pth, which holds epoch, optimizer"):
        read_weights(tmp_path / "w.pth")
    torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "w.pt")
    with pytest.raises(EspalierError, match=r"w\.pt is a TorchScript program"):
        read_weights(tmp_path / "w.pt")


def test_a_file_in_parts_is_read_by_its_list(tmp_path: Path) -> None:
    state = published(network(seed=1))
    names = [f"model-0000{part}-of-00002.safetensors" for part in (1, 2)]
    places = {name: names[index % 2] for index, name in enumerate(state)}
    for part in names:
        save_file({name: state[name].contiguous() for name in state if places[name] == part}, tmp_path / part)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}), encoding="utf-8")
    assert read_weights(index).tensors.keys() == state.keys()
    merge(index, tmp_path / "whole.safetensors")
    assert torch.equal(
        read_weights(tmp_path / "whole.safetensors").tensors["conv1.weight"], state["conv1.weight"]
    )
    with pytest.raises(EspalierError, match=r"one of 2 parts"):
        read_weights(tmp_path / names[0])
    (tmp_path / names[1]).unlink()
    with pytest.raises(EspalierError, match=r"lists 2 parts, and 1 are not beside it: model-00002"):
        read_weights(index)
    index.write_text(json.dumps({"weight_map": {"a": "../outside.safetensors"}}), encoding="utf-8")
    with pytest.raises(EspalierError, match=r"found none that can be read"):
        read_weights(index)


def test_the_ending_of_a_file_need_not_be_true(tmp_path: Path) -> None:
    state = {name: tensor.contiguous() for name, tensor in published(network()).items()}
    save_file(state, tmp_path / "w.pth")
    torch.save(state, tmp_path / "w.safetensors")
    assert (
        read_weights(tmp_path / "w.pth").tensors.keys()
        == read_weights(tmp_path / "w.safetensors").tensors.keys()
    )


def test_weights_in_parts_are_put_together():
    trained = network(seed=1)
    state = published(trained)
    for name in [name for name, tensor in state.items() if tensor.ndim == 4]:
        weight = state.pop(name)
        mask = (torch.arange(weight.numel()) % 3 > 0).reshape(weight.shape).to(weight.dtype)
        state |= {f"{name}_orig": weight, f"{name}_mask": mask}
        trained.get_parameter(f"body.{name}").data *= mask
    weight = state.pop("linear.weight")
    length = torch.linalg.vector_norm(weight, dim=1, keepdim=True)
    state |= {
        "linear.parametrizations.weight.original0": length,
        "linear.parametrizations.weight.original1": weight * 7,
    }
    model = network(seed=2)
    notes = load_weights(model, state, RESNET, "These weights", fresh_head=False)
    assert notes == [
        "20 weights are stored in parts (a mask, or length and direction) and were put together: "
        "body.conv1.weight, body.layer1.0.conv1.weight, body.layer1.0.conv2.weight, …."
    ]
    for name, tensor in trained.state_dict().items():
        assert torch.allclose(model.state_dict()[name], tensor), name


def test_sparse_tensors_are_written_out_and_tensors_without_values_refused(tmp_path: Path) -> None:
    state = published(network(seed=1))
    torch.save({**state, "linear.weight": state["linear.weight"].to_sparse()}, tmp_path / "sparse.pth")
    assert torch.equal(read_weights(tmp_path / "sparse.pth").tensors["linear.weight"], state["linear.weight"])
    torch.save({name: tensor.to("meta") for name, tensor in state.items()}, tmp_path / "meta.pth")
    with pytest.raises(EspalierError, match=r"meta\.pth holds names and shapes only: 116 of its 116 tensors"):
        read_weights(tmp_path / "meta.pth")


def test_a_variance_below_zero_is_refused() -> None:
    state = published(network())
    state["bn1.running_var"] = -state["bn1.running_var"]
    with pytest.raises(EspalierError, match=r"hold variances below zero: body\.bn1\.running_var"):
        load_weights(network(), state, RESNET, "These weights", fresh_head=False)


def test_of_two_networks_in_a_file_the_average_is_passed_over_and_others_refused() -> None:
    plain, other = network(seed=1), network(seed=2)
    state = {**published(other, "ema_net."), **published(plain, "net.")}
    model = network(seed=3)
    load_weights(model, state, RESNET, "These weights", fresh_head=False)
    assert torch.equal(model.head.weight, plain.head.weight)
    state = {**published(other, "teacher."), **published(plain, "student.")}
    with pytest.raises(EspalierError, match=r"holds 2 networks that fit, .* 'teacher\.' and 'student\.'"):
        load_weights(model, state, RESNET, "These weights", fresh_head=False)


def test_class_names_in_a_trainings_arguments_are_read(tmp_path: Path) -> None:
    content = {"model": published(network()), "args": argparse.Namespace(classes=["b", "a"], lr=0.1)}
    torch.save(content, tmp_path / "w.pth")
    assert read_weights(tmp_path / "w.pth").classes == ("b", "a")
