"""Checkpoints: exact after surgery, refused when changed."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from core.common.content_hashes import MANIFEST, DamagedError
from core.common.errors import EspalierError
from core.data.preprocess import Preprocess
from core.models.architecture import difference
from core.models.catalogue import BACKBONES
from core.models.checkpoint import Checkpoint, content_hash, load_checkpoint, probe, save_checkpoint
from core.models.checkpoint_description import files_of
from core.models.cifar_resnet import PadShortcut
from core.models.settings import BackboneSettings
from core.models.torchvision_shim import import_torchvision
from core.stages.prune_channels import PruneChannelsParams, find_prunable_groups
from core.surgery.budget import apply

CLASSES = tuple("abcdefg")


def make(name: str = "resnet20", **settings: object) -> tuple[nn.Module, BackboneSettings]:
    network = BackboneSettings(backbone=name, **settings)
    torch.manual_seed(11)
    model = BACKBONES[name].build(network, len(CLASSES))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after training: no statistic at its start
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model.eval(), network


def prune(model: nn.Module, size: int, scope: str) -> None:
    """Half of every residual block's inner channels, or 40 % of every group of coupled channels."""
    import_torchvision()
    import torch_pruning

    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, PadShortcut) and scope == "whole-groups":
                parent.register_module(name, child.as_convolution())
    example = torch.zeros(1, 3, size, size)
    if scope == "whole-groups":
        heads = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == len(CLASSES)]
        torch_pruning.pruner.BasePruner(
            model, example, torch_pruning.importance.MagnitudeImportance(p=1),
            pruning_ratio=0.4, ignored_layers=heads,
        ).step()  # fmt: skip
        return
    graph = torch_pruning.DependencyGraph().build_dependency(model, example)
    inner = [m for name, m in model.named_modules() if name.endswith("conv1") and name.count(".") == 3]
    for layer in inner:
        half = list(range(layer.out_channels // 2))
        graph.get_pruning_group(layer, torch_pruning.prune_conv_out_channels, half).prune()
    assert inner


def saved_checkpoint(
    folder, size: int = 32, name: str = "resnet20", scope: str = "", **settings: object
) -> Checkpoint:
    """A checkpoint in `folder`, pruned when a scope is given."""
    model, network = make(name, **settings)
    if scope:
        halved = PruneChannelsParams(ratio=0.5, scope=scope)
        prunable = find_prunable_groups(model, size, halved, BACKBONES[name].blocks)
        apply(prunable.groups, prunable.plan(halved))
    checkpoint = Checkpoint(model, network, Preprocess(size), CLASSES, {"stage": "pruned", "share": 0.5})
    save_checkpoint(folder, checkpoint)
    return checkpoint


FEM = {"fem": {"place": "pooled"}}


@pytest.mark.parametrize(
    ("name", "size", "settings", "scope"),
    [
        ("resnet20", 28, FEM, ""),
        ("resnet20", 28, FEM, "block-internal"),
        ("resnet20", 28, FEM, "whole-groups"),
        ("mobilenet-v3-large", 32, {"head": "original"}, "whole-groups"),
    ],
)
def test_what_is_loaded_is_what_was_saved(tmp_path, name, size, settings, scope):
    saved = saved_checkpoint(tmp_path / "c", size, name, scope, **settings)
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
    after, before = (
        sum(p.numel() for p in model.parameters()) for model in (loaded.model, make(name, **settings)[0])
    )
    assert (after < before) is bool(scope)


def test_only_changed_modules_stand_in_the_diff(tmp_path):
    saved_checkpoint(tmp_path / "plain")
    saved_checkpoint(tmp_path / "pruned", scope="block-internal")
    plain, pruned = (
        json.loads((tmp_path / name / "architecture.json").read_text())["diff"]
        for name in ("plain", "pruned")
    )
    assert plain == {}
    assert "body.layer1.0.conv1" in pruned and "body.layer1.0.conv2" in pruned
    assert not {"body.conv1", "head"} & pruned.keys()
    assert pruned["body.layer1.0.conv1"] == {
        "attributes": {"out_channels": 8}, "tensors": {"weight": [8, 16, 3, 3]}
    }  # fmt: skip
    assert pruned["body.layer1.0.bn1"] == {
        "attributes": {"num_features": 8},
        "tensors": {name: [8] for name in ("weight", "bias", "running_mean", "running_var")},
    }


def test_checkpoints_of_the_first_version_still_load(tmp_path):
    """It wrote every changed module with its constructor's arguments, and no manifest."""
    saved = saved_checkpoint(tmp_path / "c", scope="whole-groups").model
    (tmp_path / "c" / MANIFEST).unlink()
    path = tmp_path / "c/architecture.json"
    architecture = json.loads(path.read_text())
    architecture["diff"] = {path: first_form(saved.get_submodule(path)) for path in architecture["diff"]}
    path.write_text(json.dumps(architecture))
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(load_checkpoint(tmp_path / "c").model(images), saved(images))


def first_form(module: nn.Module) -> dict[str, object]:
    names = {
        nn.Conv2d: (
            "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode"
        ),
        nn.Linear: ("in_features", "out_features"),
        nn.BatchNorm2d: ("num_features", "eps", "momentum", "affine", "track_running_stats"),
    }[type(module)]  # fmt: skip
    arguments = {name: getattr(module, name) for name in names}
    if not isinstance(module, nn.BatchNorm2d):
        arguments["bias"] = module.bias is not None
    return {"type": type(module).__name__, "arguments": arguments}


@pytest.mark.parametrize("file", ["weights.safetensors", "architecture.json", MANIFEST])
def test_a_single_changed_bit_is_refused(tmp_path, file):
    saved_checkpoint(tmp_path / "c")
    content = bytearray((tmp_path / "c" / file).read_bytes())
    content[-50] ^= 1
    (tmp_path / "c" / file).write_bytes(content)
    with pytest.raises(DamagedError, match=file):
        load_checkpoint(tmp_path / "c")
    with pytest.raises(DamagedError, match=file):
        content_hash(tmp_path / "c")


def test_changed_weights_are_refused(tmp_path):
    saved_checkpoint(tmp_path / "c")
    (tmp_path / "c" / MANIFEST).unlink()
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
    saved_checkpoint(tmp_path / "c", scope="block-internal")
    weights, architecture = tmp_path / "c/weights.safetensors", tmp_path / "c/architecture.json"
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:5000])
    elif damage == "type":
        saved_checkpoint(tmp_path / "c", scope="whole-groups")  # its shortcuts are convolutions
        text = architecture.read_text()
        assert '"Conv2d"' in text
        architecture.write_text(text.replace('"Conv2d"', '"Transformer"'))
    else:
        tensors = load_file(weights)
        bias = tensors.pop("head.bias")
        save_file(tensors | ({"head.bias": bias[:3].clone()} if damage == "shape" else {}), weights)
    (tmp_path / "c" / MANIFEST).unlink()
    with pytest.raises(EspalierError, match="does not fit together: its weights are not those"):
        load_checkpoint(tmp_path / "c")


def test_a_newer_format_is_refused(tmp_path):
    saved_checkpoint(tmp_path / "c")
    (tmp_path / "c" / MANIFEST).unlink()
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
    saved_checkpoint(tmp_path / "c")
    first = content_hash(tmp_path / "c")
    saved_checkpoint(tmp_path / "c")
    assert content_hash(tmp_path / "c") == first  # the same network
    saved_checkpoint(tmp_path / "c", scope="block-internal")
    assert content_hash(tmp_path / "c") != first
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_modules_that_cannot_be_described_are_refused_and_nothing_is_written(tmp_path):
    model, network = make()
    model.body.relu = nn.PReLU()
    with pytest.raises(EspalierError, match=r"cannot describe the changed module body\.relu of type PReLU"):
        save_checkpoint(tmp_path / "c", Checkpoint(model, network, Preprocess(32), CLASSES))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("inputs", "outputs", "size"), [(16, 32, 8), (3, 8, 7), (8, 8, 5)])
def test_the_padding_shortcut_as_a_convolution_is_exact(inputs, outputs, size):
    shortcut = PadShortcut(inputs, outputs)
    images = torch.randn(2, inputs, size, size, generator=torch.Generator().manual_seed(2))
    assert torch.equal(shortcut.as_convolution()(images), shortcut(images))


BY_HAND = {
    "an endless probe": ("probe", [[float("inf")] * 7] * 2),
    "a probe that is no number": ("probe", [[float("nan")] * 7] * 2),
    "a huge probe": ("probe", [[1e30] * 7] * 2),
    "no probe": ("probe", []),
    "a mean that is no number": ("preprocess", {**Preprocess(32).as_dict(), "mean": [float("nan")] * 3}),
    "a deviation of nothing": ("preprocess", {**Preprocess(32).as_dict(), "std": [0.0, 1.0, 1.0]}),
    "a huge side": ("preprocess", {**Preprocess(32).as_dict(), "size": 10**9}),
    "a mean too few": ("preprocess", {**Preprocess(32).as_dict(), "mean": [0.0]}),
    "an unknown setting": ("network", {"backbone": "resnet20", "run": "rm"}),
    "an unknown backbone": ("network", {"backbone": "../../x"}),
    "no classes": ("classes", []),
    "classes that are numbers": ("classes", [1] * 7),
    "a layer larger than any memory": ("diff", {"head": {"type": "Linear", "arguments": {"in_features": 10**7, "out_features": 10**7, "bias": False}}}),
    "a tensor larger than any memory": ("diff", {"head": {"tensors": {"weight": [10**7, 10**7]}}}),
}  # fmt: skip


@pytest.mark.parametrize("case", BY_HAND)
def test_an_architecture_edited_by_hand_is_refused_in_a_sentence(tmp_path, case):
    """Also where the manifest, which would tell any change, is gone."""
    saved_checkpoint(tmp_path / "c")
    (tmp_path / "c" / "manifest.json").unlink(missing_ok=True)
    file = tmp_path / "c" / "architecture.json"
    name, value = BY_HAND[case]
    file.write_text(json.dumps({**json.loads(file.read_text()), name: value}))
    with pytest.raises(EspalierError) as caught:
        load_checkpoint(tmp_path / "c")
    assert str(tmp_path) in caught.value.message or "Expected" in caught.value.message


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format": 1' + "9" * 5000 + "}", '"\\ud800"', "\x00"])
def test_an_architecture_that_json_chokes_on_is_no_checkpoint(tmp_path, text):
    (tmp_path / "architecture.json").write_text(text)
    with pytest.raises(EspalierError, match=r"^Expected a checkpoint"):
        load_checkpoint(tmp_path)


def test_only_the_files_of_a_checkpoint_are_its_files(tmp_path):
    saved_checkpoint(tmp_path / "c")
    (tmp_path / "c" / "film.mp4").write_bytes(bytes(100))
    (tmp_path / "c" / ".ssh").mkdir()
    names = {file.name for file in files_of(tmp_path / "c")}
    assert (
        {"architecture.json", "weights.safetensors"}
        <= names
        <= {"architecture.json", "weights.safetensors", "manifest.json"}
    )
    (tmp_path / "docs").mkdir()
    with pytest.raises(EspalierError, match=r"^Expected a checkpoint"):
        files_of(tmp_path / "docs")


def test_how_weights_lie_in_memory_changes_no_answer_of_the_probe():
    model, _ = make()
    before = probe(model, 32)
    model.to(memory_format=torch.channels_last)
    assert torch.equal(probe(model, 32), before)
    assert model.get_submodule("body.conv1").weight.is_contiguous(memory_format=torch.channels_last)
