"""Residual blocks: which can go, that nothing changes where they compute nothing, and their ranking."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from core.models.catalogue import BACKBONES
from core.models.cifar_resnet import BasicBlock
from core.models.settings import BackboneSettings
from core.models.torchvision_shim import import_torchvision
from core.surgery.blocks import (
    Block,
    block_importance,
    drop_blocks,
    find_blocks,
    relative_to_stage,
    removal_order,
)

models = import_torchvision().models
convnext, resnet = models.convnext, models.resnet


def small_bottlenecks() -> nn.Module:
    return resnet.ResNet(resnet.Bottleneck, [2, 2, 1, 1], num_classes=10)


def small_convnext() -> nn.Module:
    stages = [convnext.CNBlockConfig(8, 16, 2), convnext.CNBlockConfig(16, None, 3)]
    return convnext.ConvNeXt(stages, stochastic_depth_prob=0.1, num_classes=10)


def timm_model(name: str, **more: object) -> nn.Module:
    import timm

    return timm.create_model(name, num_classes=10, **more)


# factory, class names of blocks, blocks, of them droppable
NETWORKS = {
    "resnet20": (lambda: backbone("resnet20"), ("BasicBlock",), 9, 7),
    "resnet18": (lambda: models.get_model("resnet18", num_classes=10), ("BasicBlock",), 8, 5),
    "bottlenecks": (small_bottlenecks, ("Bottleneck",), 6, 2),
    "mobilenet-v2": (lambda: models.get_model("mobilenet_v2", width_mult=0.5), ("InvertedResidual",), 17, 10),
    "mobilenet-v3-large": (lambda: backbone("mobilenet-v3-large"), ("InvertedResidual",), 15, 10),
    "efficientnet-lite0": (
        lambda: timm_model("tf_efficientnet_lite0"), ("InvertedResidual", "DepthwiseSeparableConv"), 16, 9,
    ),
    "convnext of torchvision": (small_convnext, ("CNBlock",), 5, 5),
    "convnext of timm": (
        lambda: timm_model("convnext_atto", depths=(1, 1, 2, 1), dims=(8, 16, 24, 32)), ("ConvNeXtBlock",), 5, 5,
    ),
}  # fmt: skip


def backbone(name: str) -> nn.Module:
    return BACKBONES[name].build(BackboneSettings(backbone=name), 10)


def network(name: str = "resnet20") -> nn.Module:
    """With batch norms that are not at their start."""
    torch.manual_seed(2)
    built = NETWORKS[name][0]()
    for module in built.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)
    return built.eval()


def images(count: int = 3, size: int = 32) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_block_without_inner_weights_can_go_and_nothing_changes(name):
    """The blocks found droppable, their weights at zero: the network says the same without them."""
    _, kinds, count, droppable = NETWORKS[name]
    model = network(name)
    blocks = find_blocks(model, kinds, 32)
    free = [block.path for block in blocks if not block.reason]
    assert (len(blocks), len(free)) == (count, droppable)
    chosen = free[::2]
    for path in chosen:
        for parameter in model.get_submodule(path).parameters():
            parameter.data.zero_()
    with torch.no_grad():
        before = model(images())
        drop_blocks(model, chosen)
        assert torch.equal(model(images()), before)
    assert all(type(model.get_submodule(path)) is nn.Identity for path in chosen)


def test_a_block_that_changes_the_shape_says_so():
    reasons = {block.path: block.reason for block in find_blocks(network("resnet20"), ("BasicBlock",), 16)}
    assert reasons["body.layer2.0"] == "changes the shape from 16×16×16 to 32×8×8"
    assert reasons["body.layer3.0"] == "changes the shape from 32×8×8 to 64×4×4"
    assert sorted(path for path, reason in reasons.items() if reason) == ["body.layer2.0", "body.layer3.0"]


def test_equal_shapes_are_not_enough():
    """A shortcut that computes something, and a post-activation block whose input may be negative."""
    projected = BasicBlock(8, 8, 1)
    projected.shortcut = nn.Conv2d(8, 8, 1)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), projected, nn.Conv2d(8, 8, 1), BasicBlock(8, 8, 1), BasicBlock(8, 8, 1)
    )
    blocks = find_blocks(model, ("BasicBlock",), 8)
    refusal = "has no identity shortcut: with its weights at zero it does not give back its input"
    assert [block.reason for block in blocks] == [refusal, refusal, ""]


def test_of_nested_blocks_the_outermost_is_taken():
    model = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), BasicBlock(4, 4, 1)))
    assert [block.path for block in find_blocks(model, ("BasicBlock", "Sequential"), 8)] == ["0"]
    assert [block.path for block in find_blocks(model, ("BasicBlock",), 8)] == ["0.2"]


def test_looking_changes_nothing():
    model = network("resnet20").train()
    before = copy.deepcopy(model.state_dict())
    blocks = find_blocks(model, ("BasicBlock",), 16)
    block_importance(model, blocks, "feature-map-rank", [images(2, 16)])
    assert model.training and all(
        torch.equal(value, before[name]) for name, value in model.state_dict().items()
    )
    assert not any(module._forward_hooks for module in model.modules())


def test_stages_are_runs_of_one_shape():
    blocks = find_blocks(network("mobilenet-v3-large"), ("InvertedResidual",), 32)
    assert [block.stage for block in blocks] == [0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 5]


def test_the_weight_magnitude_by_hand():
    model = network("resnet20")
    blocks = find_blocks(model, ("BasicBlock",), 16)
    importance = block_importance(model, blocks, "weight-magnitude", [])
    for block in blocks:
        module = model.get_submodule(block.path)
        weights = np.concatenate([
            module.conv1.weight.detach().numpy().ravel(), module.conv2.weight.detach().numpy().ravel()
        ])  # fmt: skip
        assert importance[block.path] == pytest.approx(np.abs(weights).mean(), rel=1e-5)


def outputs(model: nn.Module, block: nn.Module, batch: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    collected = []
    hook = block.register_forward_hook(lambda module, inputs, output: collected.append((inputs[0], output)))
    with torch.no_grad():
        model(batch)
    hook.remove()
    [(given, output)] = collected
    return given.numpy(), output.numpy()


def test_the_feature_map_rank_by_hand():
    """Of what the block adds to its input; over two batches of different sizes every image counts once."""
    model = network("resnet20")
    blocks = find_blocks(model, ("BasicBlock",), 16)
    batches = [images(3, 16), images(5, 16)[:1] * 0.5]
    importance = block_importance(model, blocks, "feature-map-rank", batches)
    for block in blocks[4:6]:
        _, maps = outputs(model, model.get_submodule(f"{block.path}.bn2"), torch.cat(batches))
        ranks = [np.linalg.matrix_rank(map) for image in maps for map in image]
        assert importance[block.path] == pytest.approx(np.mean(ranks) / maps.shape[-1], rel=1e-3)


DEAD = ("body.layer1.3", "body.layer2.5", "body.layer3.7")


def test_blocks_that_add_nothing_are_the_first_to_go_by_rank():
    torch.manual_seed(2)
    model = backbone("resnet56").eval()
    for path in DEAD:
        model.get_submodule(path).bn2.weight.data.zero_()
        model.get_submodule(path).bn2.bias.data.zero_()
    blocks = find_blocks(model, ("BasicBlock",), 16)
    droppable = [block for block in blocks if not block.reason]
    importance = block_importance(model, droppable, "feature-map-rank", [images(4, 16)])
    assert {importance[path] for path in DEAD} == {0.0}
    assert set(removal_order(blocks, importance, keep_one=True)[:3]) == set(DEAD)


def test_the_branch_of_a_linear_bottleneck_is_its_last_norm():
    model = network("mobilenet-v3-large")
    blocks = [block for block in find_blocks(model, ("InvertedResidual",), 32) if not block.reason]
    importance = block_importance(model, blocks[:1], "feature-map-rank", [images(2, 32)])
    _, maps = outputs(model, model.get_submodule(f"{blocks[0].path}.block")[-1], images(2, 32))
    ranks = [np.linalg.matrix_rank(map) for image in maps for map in image]
    assert importance[blocks[0].path] == pytest.approx(np.mean(ranks) / maps.shape[-1], rel=1e-3)


def test_the_input_similarity_by_hand():
    model = network("resnet20")
    blocks = [block for block in find_blocks(model, ("BasicBlock",), 16) if not block.reason]
    importance = block_importance(model, blocks, "input-similarity", [images(2, 16), images(3, 16)[2:]])
    for block in blocks:
        given, output = outputs(model, model.get_submodule(block.path), images(3, 16))
        cosines = [
            (x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()) for x, y in zip(given, output, strict=True)
        ]
        assert importance[block.path] == pytest.approx(1 - np.mean(cosines), rel=1e-3, abs=1e-6)


def test_a_block_that_does_nothing_has_no_input_similarity_importance():
    model = network("resnet20")
    for parameter in model.body.layer1[1].parameters():
        parameter.data.zero_()
    blocks = [block for block in find_blocks(model, ("BasicBlock",), 16) if not block.reason]
    found = block_importance(model, blocks, "input-similarity", [images(3, 16)])
    assert min(found, key=found.get) == "body.layer1.1"
    assert found["body.layer1.1"] == pytest.approx(0, abs=1e-6)


BLOCKS = [
    Block("a", "B", 0, (1,)), Block("b", "B", 0, (1,)), Block("c", "B", 1, (2,), "no"), Block("d", "B", 1, (2,)),
]  # fmt: skip
IMPORTANCE = {"a": 1.0, "b": 3.0, "c": 10.0, "d": 30.0}


def test_importances_relative_to_their_stage():
    assert relative_to_stage(BLOCKS, IMPORTANCE) == {"a": 0.5, "b": 1.5, "c": 0.5, "d": 1.5}


def test_the_least_important_droppable_blocks_go_first():
    assert removal_order(BLOCKS, IMPORTANCE, keep_one=False) == ["a", "b", "d"]
    assert removal_order(BLOCKS, IMPORTANCE, keep_one=True) == [
        "a",
        "d",
    ]  # b is the last of its stage; c holds the other
