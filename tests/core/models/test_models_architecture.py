"""Changed networks as data: exact after every kind of surgery, and nothing but data is taken."""

import copy
import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from core.common.content_hashes import MANIFEST
from core.common.errors import EspalierError
from core.data.preprocess import Preprocess
from core.models.architecture import apply_difference, difference
from core.models.catalogue import backbone
from core.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from core.models.cifar_resnet import PadShortcut
from core.models.settings import BackboneSettings
from core.models.torchvision_shim import import_torchvision

CLASSES = tuple("abcdefg")


def make(name: str = "resnet20", seed: int = 5) -> nn.Module:
    torch.manual_seed(seed)
    return backbone(name).build(BackboneSettings(backbone=name), len(CLASSES), 32)


def assert_kept(folder, name: str, model: nn.Module, images: torch.Tensor) -> dict:
    """What a checkpoint gives back has the network's logits, bit for bit; gives its difference."""
    network = BackboneSettings(backbone=name)
    save_checkpoint(folder, Checkpoint(model, network, Preprocess(32), CLASSES))
    loaded = load_checkpoint(folder).model
    with torch.no_grad():
        assert torch.equal(loaded(images), model(images))
    assert difference(model, loaded) == {}
    return json.loads((folder / "architecture.json").read_text())["diff"]


def prune(model: nn.Module, ratio: float = 0.4) -> None:
    """Cut `ratio` of every group of coupled channels; of a transformer, of the hidden widths."""
    import_torchvision()
    import torch_pruning

    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, PadShortcut):
                parent.register_module(name, child.as_convolution())
    example = torch.zeros(1, 3, 32, 32)
    hidden = [module for name, module in model.named_modules() if name.endswith("mlp.fc1")]
    if hidden and isinstance(hidden[0], nn.Linear) and hasattr(model.body, "layout"):
        graph = torch_pruning.DependencyGraph().build_dependency(model, example)
        for layer in hidden:
            gone = list(range(round(layer.out_features * ratio)))
            graph.get_pruning_group(layer, torch_pruning.prune_linear_out_channels, gone).prune()
        return
    head = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == len(CLASSES)]
    torch_pruning.pruner.BasePruner(
        model, example, torch_pruning.importance.MagnitudeImportance(p=1),
        pruning_ratio=ratio, ignored_layers=head,
    ).step()  # fmt: skip


HEAVY = ("resnet50", "timm-convnext-tiny", "plain-cnn-large")
FAMILIES = [
    "resnet18", "resnet20", "resnet50", "mobilenet-v2", "mobilenet-v3-large", "efficientnet-lite0", "convnext-tiny",
    "timm-convnext-tiny", "timm-convnext-atto", "plain-cnn-large", "plain-cnn-tiny", "vit-tiny", "timm:convnextv2_atto",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Unwrapped parameters detected")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in HEAVY else []) for name in FAMILIES]
)
def test_every_family_survives_pruning(name, tmp_path, as_trained, noise):
    model = as_trained(make(name))
    before = sum(p.numel() for p in model.parameters())
    prune(model)
    model.eval()
    left = sum(p.numel() for p in model.parameters()) / before
    assert left < (0.8 if name == "vit-tiny" else 0.5)
    assert_kept(tmp_path / "c", name, model, noise(32))


# Single operations


def test_an_unchanged_network_has_no_difference():
    for name in ("resnet20", "convnext-tiny", "efficientnet-lite0", "vit-tiny"):
        assert difference(make(name, 1), make(name, 2)) == {}


def test_a_dropped_block(tmp_path, as_trained, noise):
    model = as_trained(make())
    model.body.layer1[1] = nn.Identity()
    found = assert_kept(tmp_path / "c", "resnet20", model, noise(32))
    assert found == {"body.layer1.1": {"type": "Identity", "arguments": {}}}


def test_a_shorter_stage(tmp_path, as_trained, noise):
    """Blocks that were taken out and the rest numbered anew."""
    model = as_trained(make())
    model.body.layer2 = nn.Sequential(model.body.layer2[0], model.body.layer2[2])
    found = assert_kept(tmp_path / "c", "resnet20", model, noise(32))
    assert found == {"body.layer2.2": {"removed": True}}


def test_blocks_that_were_taken_out_of_the_middle(tmp_path, as_trained, noise):
    model = as_trained(make())
    del model.body.layer2._modules["1"]
    assert assert_kept(tmp_path / "c", "resnet20", model, noise(32)) == {"body.layer2.1": {"removed": True}}


def test_another_order(tmp_path, as_trained, noise):
    model = as_trained(make())
    children = model.body.layer1._modules
    children["1"] = children.pop("1")
    found = assert_kept(tmp_path / "c", "resnet20", model, noise(32))
    assert found == {"body.layer1": {"order": ["0", "2", "1"]}}


def test_a_convolution_in_two(tmp_path, as_trained, noise):
    model = as_trained(make())
    model.body.layer3[1].conv2 = nn.Sequential(
        nn.Conv2d(64, 9, (3, 1), padding=(1, 0), bias=False), nn.Conv2d(9, 64, (1, 3), padding=(0, 1))
    )
    found = assert_kept(tmp_path / "c", "resnet20", model, noise(32))
    assert found["body.layer3.1.conv2"]["type"] == "Sequential"
    assert found["body.layer3.1.conv2"]["children"]["0"]["arguments"]["kernel_size"] == [3, 1]


def test_timms_convolution_in_two_and_a_linear_layer_in_two(tmp_path, as_trained, noise):
    from timm.layers import Conv2dSame

    model = as_trained(make("efficientnet-lite0"))
    stem = model.body.conv_stem
    assert type(stem) is Conv2dSame
    model.body.conv_stem = nn.Sequential(
        Conv2dSame(3, 4, 3, stride=2, bias=False), nn.Conv2d(4, 32, 1, bias=False)
    )
    model.head = nn.Sequential(nn.Linear(1280, 8, bias=False), nn.Linear(8, len(CLASSES)))
    found = assert_kept(tmp_path / "c", "efficientnet-lite0", model, noise(32))
    assert found.keys() == {"body.conv_stem", "head"}


def test_batch_norm_folded_into_its_convolution(tmp_path, as_trained, noise):
    """The convolution gets a bias that the factory gives it none of."""
    model = as_trained(make())
    model.body.conv1 = torch.nn.utils.fuse_conv_bn_eval(model.body.conv1, model.body.bn1)
    model.body.bn1 = nn.Identity()
    found = assert_kept(tmp_path / "c", "resnet20", model, noise(32))
    assert found == {
        "body.conv1": {"tensors": {"bias": [16]}},
        "body.bn1": {"type": "Identity", "arguments": {}},
    }


def test_a_module_where_the_factory_left_a_gap(tmp_path, as_trained, noise):
    model = as_trained(make("resnet18"))
    block = model.body.layer1[0]
    assert block.downsample is None
    block.downsample = nn.Sequential(nn.Conv2d(64, 64, 1, bias=False))
    assert "body.layer1.0.downsample" in assert_kept(tmp_path / "c", "resnet18", model, noise(32))


def test_a_bias_that_went(tmp_path, as_trained, noise):
    model = as_trained(make())
    model.head.bias = None
    found = assert_kept(tmp_path / "c", "resnet20", model, noise(32))
    assert found == {"head": {"tensors": {"bias": None}}}


@pytest.mark.parametrize(
    "layer", [nn.ReLU6(), nn.Hardswish(), nn.SiLU(), nn.GELU("tanh"), nn.LeakyReLU(0.2), nn.Dropout(0.3)]
)
def test_other_activations(layer, tmp_path, as_trained, noise):
    model = as_trained(make())
    model.body.relu = layer.eval()
    assert_kept(tmp_path / "c", "resnet20", model, noise(32))


class Odd(nn.Module):
    """Attributes of every plain kind."""

    def __init__(self, numbers: object, name: str, share: float, on: bool, gap: object, child: nn.Module):
        super().__init__()
        self.numbers, self.name, self.share, self.on, self.gap = numbers, name, share, on, gap
        self.function = lambda x: x  # not plain
        self.cache = torch.zeros(3)  # not plain
        self.child = child


def test_plain_attributes_of_every_kind_come_back_with_their_type():
    before = Odd((1, 2), "a", 0.1, True, None, nn.Identity())
    after = Odd((3, [4, (5,)]), "b", 1 / 3, False, 7, nn.Identity())
    found = json.loads(json.dumps(difference(before, after)))
    assert found[""]["attributes"].keys() == {"numbers", "name", "share", "on", "gap"}
    apply_difference(before, found)
    assert (before.numbers, before.name, before.share, before.on, before.gap) == (
        (3, [4, (5,)]), "b", 1 / 3, False, 7,
    )  # fmt: skip


def test_numbers_of_numpy_are_numbers():
    before, after = nn.Conv2d(3, 8, 3), nn.Conv2d(3, 4, 3)
    after.out_channels = np.int64(4)
    assert difference(before, after)[""]["attributes"] == {"out_channels": 4}


# Refusals


class Marked(nn.ReLU):
    """A layer that no list knows, though its parent is on it."""


def with_new_parameter(model: nn.Module) -> None:
    model.head.scale = nn.Parameter(torch.ones(1))


def with_unknown_class(model: nn.Module) -> None:
    model.body.relu = Marked()


def with_changed_table(model: nn.Module) -> None:
    model.register_buffer("table", torch.ones(2), persistent=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_unknown_class, "A checkpoint cannot describe the changed module body.relu of type Marked."),
        (
            with_new_parameter,
            "A checkpoint cannot describe the changed module head of type Linear: "
            "its tensor scale is not one that it can restore.",
        ),
        (
            with_changed_table,
            "A checkpoint cannot describe the changed module at the top of type ImageClassifier: "
            "its tensor table is not one that it can restore.",
        ),
    ],
)
def test_changes_that_cannot_be_described_are_refused(change: Callable[[nn.Module], None], message):
    model = make()
    reference = copy.deepcopy(model)
    change(model)
    with pytest.raises(EspalierError) as caught:
        difference(reference, model)
    assert caught.value.message == message


CONVOLUTION = {"in_channels": 3, "out_channels": 16, "kernel_size": 3}


@pytest.mark.parametrize(
    "entry",
    [
        {"body.relu": {"attributes": {"_modules": None}}},
        {"body.relu": {"attributes": {"training": True}}},
        {"body.relu": {"attributes": {"forward": 1}}},
        {"body.relu": {"attributes": {"outplace": True}}},
        {"body.relu": {"attributes": {"inplace": {"a": 1}}}},
        {"": {"attributes": {"constraints": "x"}}},  # there, but not plain
        {"head": {"tensors": {"wait": [1]}}},
        {"head": {"tensors": {"bias": "x"}}},
        {"head": {"tensors": {"bias": [-1]}}},
        {"head": {"removed": True}, "body": {"removed": True}},
        {"body.layer9": {"removed": True}},
        {"body.layer1": {"order": ["0", "1"]}},
        {"body.layer1": {"order": ["0", "1", "2", "2"]}},
        {"head.inner": {"type": "ReLU", "arguments": {"inplace": False}}},
        {"body.relu": {"type": "ReLU", "arguments": {"inplace": False, "path": "x"}}},
        {"body.relu": {"type": "os.system", "arguments": {}}},
        {"body.relu": {"type": "ReLU", "arguments": {}, "children": {"0": {"type": "ReLU", "arguments": {}}}}},
        {"body.conv1": {"type": "Conv2d", "arguments": CONVOLUTION | {"padding_mode": "odd"}}},
        {"body.relu": []},
    ],
    ids=lambda entry: json.dumps(entry)[:60],
)  # fmt: skip
def test_tampered_files_are_refused(entry, tmp_path):
    network = BackboneSettings()
    save_checkpoint(tmp_path / "c", Checkpoint(make(), network, Preprocess(32), CLASSES))
    path = tmp_path / "c/architecture.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"diff": entry}))
    (tmp_path / "c" / MANIFEST).unlink()  # its seal alone would be reason enough
    with pytest.raises(EspalierError, match="does not fit together"):
        load_checkpoint(tmp_path / "c")


def test_attributes_may_be_set_where_they_are_plain():
    """The refusals above are not those of a form that is always refused."""
    model = make()
    apply_difference(model, {"body.relu": {"attributes": {"inplace": True}}})
    assert model.body.relu.inplace is True
