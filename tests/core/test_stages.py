"""Every stage of the catalogue keeps the contract; the methods' numbers by hand."""

import copy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from core import yaml
from core.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from core.control import RunControl
from core.data.image_data import ImageData
from core.data.preprocess import make_preprocess
from core.data.settings import Augmentation, DataSettings
from core.data.store import open_data
from core.errors import EspalierError, Stopped
from core.models.catalogue import BACKBONES
from core.models.settings import BackboneSettings
from core.params import Params
from core.stages.base import Input, Stage, StageContext
from core.stages.catalogue import STAGES, stage_kind
from core.stages.distil import distillation_loss
from core.stages.prune_channels import PruneChannelsParams, kept_channels, prune_network
from core.training import resolve_precision

SETTINGS = DataSettings(image_size=16, train_images=200, validation_images=100, test_images=100)
NETWORK = BackboneSettings(backbone="resnet20", fem={"place": "pooled"})

every_stage = pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other make small networks many times slower on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    return open_data(SETTINGS, tmp_path_factory.mktemp("data"))


def resnet(settings: BackboneSettings = NETWORK, seed: int = 4) -> nn.Module:
    """A network whose batch norms are not at their start."""
    torch.manual_seed(seed)
    model = BACKBONES[settings.backbone].build(settings, 10)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model.eval()


def context(
    data: ImageData, scratch: Path, control: RunControl | None = None, key: str = "k"
) -> StageContext:
    return StageContext(
        stage="s", seed=1, key=key, device="cpu", network=NETWORK, data=data,
        preprocess=make_preprocess(SETTINGS, data), augmentation=Augmentation(), scratch=scratch,
        control=control or RunControl(), emit=lambda event: None, reference=lambda name: resnet(seed=9),
    )  # fmt: skip


def defaults(stage: Stage, **training: object) -> Params:
    """The stage's defaults; texts that a person has to give are 'teacher'."""
    content: dict[str, object] = {
        name: "teacher" for name, field in stage.Settings.model_fields.items() if field.is_required()
    }
    if training:
        content["training"] = {"batch_size": 50, "learning_rate": 0.01} | training
    return stage.Settings.parse(content)


@every_stage
def test_defaults_survive_the_file(stage):
    settings = defaults(stage)
    content = yaml.parse(yaml.dump(settings.model_dump(mode="json"))).content
    assert stage.Settings.parse(content) == settings
    assert stage.check(settings, Input(NETWORK)) == []
    assert stage.id == next(name for name, found in STAGES.items() if found is stage)


@every_stage
def test_a_stage_runs_and_its_network_can_be_saved_and_reloaded(stage, data, tmp_path):
    model, before = resnet(), resnet().state_dict()
    result = stage.run(model, defaults(stage, epochs=1), context(data, tmp_path))
    assert len(result.history) == 1 and result.facts["best_epoch"] == 1
    assert result.training_seconds > 0
    for name, parameter in result.model.named_parameters():
        assert parameter.requires_grad, name
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all()), name
        assert bool(parameter.isfinite().all()), name
    made = result.model.eval().to(memory_format=torch.contiguous_format)  # as it is loaded
    assert not torch.equal(made.head.weight, before["head.weight"])
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    preprocess = make_preprocess(SETTINGS, data)
    save_checkpoint(tmp_path / "c", Checkpoint(made, NETWORK, preprocess, data.classes, result.facts))
    loaded = load_checkpoint(tmp_path / "c")
    with torch.no_grad():
        logits = made(images)
        assert logits.shape == (4, 10) and bool(logits.isfinite().all())
        assert torch.equal(loaded.model(images), logits)
    assert loaded.facts == result.facts


@every_stage
def test_cancel_stops_within_one_batch(stage, data, tmp_path):
    model, control, batches = resnet(), RunControl(), []

    def cancel(module: nn.Module, inputs: object, outputs: object) -> None:
        if module.training:
            batches.append(1)
            control.stop()

    model.body.conv1.register_forward_hook(cancel)
    with pytest.raises(Stopped):
        stage.run(model, defaults(stage, epochs=3), context(data, tmp_path, control))
    assert len(batches) == 1


@every_stage
def test_without_epochs_nothing_is_trained(stage, data, tmp_path):
    result = stage.run(resnet(), defaults(stage, epochs=0), context(data, tmp_path))
    assert result.history == [] and result.training_seconds == 0
    assert torch.equal(result.model.body.conv1.weight, resnet().body.conv1.weight)
    assert stage.epochs(defaults(stage, epochs=0)) == 0


def test_an_unknown_stage_is_refused_with_the_choices():
    with pytest.raises(EspalierError) as caught:
        stage_kind("prune")
    assert caught.value.message == "Expected the id of a stage, received 'prune'."
    assert caught.value.advice == f"Choose one of: {', '.join(STAGES)}."


# Pruning


@pytest.mark.parametrize(
    ("channels", "ratio", "round_to", "kept"),
    [
        (64, 0.3, 8, 48),  # 44.8: 48 is nearer than 40
        (64, 0.5, 8, 32), (16, 0.5, 8, 8),
        (24, 0.5, 8, 16),  # 12: halfway, up
        (16, 0.9, 8, 8),  # at least one multiple
        (16, 0.1, 8, 16),  # 14.4: 16, none goes
        (10, 0.3, 1, 7), (10, 0.99, 1, 1), (3, 0.5, 8, 3),
    ],
)  # fmt: skip
def test_kept_channels_by_hand(channels, ratio, round_to, kept):
    assert kept_channels(channels, ratio, round_to) == kept


def weakest(block: nn.Module, count: int) -> list[int]:
    """The `count` inner channels with the smallest L1 norm, summed over the layers that go together:
    the filter, its batch norm's scale, and the weights that read the channel."""
    score = (
        block.conv1.weight.detach().abs().sum((1, 2, 3))
        + block.bn1.weight.detach().abs()
        + block.conv2.weight.detach().abs().sum((0, 2, 3))
    )
    return sorted(np.argsort(score.numpy())[:count].tolist())


def blocks_of(model: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(name, module) for name, module in model.named_modules() if type(module).__name__ == "BasicBlock"]


def prune(model: nn.Module, **settings: object) -> tuple[list[dict], list[tuple[str, str]]]:
    return prune_network(model, 16, PruneChannelsParams(**{"ratio": 0.5} | settings), ("BasicBlock",))


def test_the_channels_with_the_smallest_norm_go_and_no_others():
    original, pruned = resnet(), resnet()
    layers, _ = prune(pruned)
    assert [layer["path"] for layer in layers] == [f"{name}.conv1" for name, _ in blocks_of(original)]
    for (name, old), (_, new) in zip(blocks_of(original), blocks_of(pruned), strict=True):
        channels = old.conv1.out_channels
        gone = weakest(old, channels // 2)
        kept = [index for index in range(channels) if index not in gone]
        assert torch.equal(new.conv1.weight, old.conv1.weight[kept]), name
        assert torch.equal(new.bn1.running_var, old.bn1.running_var[kept]), name
        assert torch.equal(new.conv2.weight, old.conv2.weight[:, kept]), name
        assert torch.equal(new.bn2.weight, old.bn2.weight), name


def test_filters_alone_decide_where_all_else_is_equal():
    """Li et al.: the L1 norm of the filters."""
    original = resnet()
    for _, block in blocks_of(original):
        block.bn1.weight.data.fill_(1.0)
        block.conv2.weight.data.fill_(0.01)
    pruned = copy.deepcopy(original)
    prune(pruned, ratio=0.25, round_to=4)
    for (name, old), (_, new) in zip(blocks_of(original), blocks_of(pruned), strict=True):
        norms = old.conv1.weight.detach().abs().sum((1, 2, 3)).numpy()
        kept = np.sort(np.argsort(norms)[len(norms) // 4 :])
        assert torch.equal(new.conv1.weight, old.conv1.weight[kept]), name


def test_a_pruned_network_is_the_original_with_these_channels_at_zero():
    original, pruned = resnet(), resnet()
    prune(pruned)
    for _, block in blocks_of(original):
        gone = weakest(block, block.conv1.out_channels // 2)
        block.bn1.weight.data[gone] = 0
        block.bn1.bias.data[gone] = 0
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(6))
    with torch.no_grad():
        torch.testing.assert_close(pruned(images), original(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "head", "scope"),
    [
        ("resnet20", "linear", "whole-groups"),
        ("mobilenet-v3-large", "original", "whole-groups"),
    ],
)
def test_the_heads_answers_are_never_pruned(name, head, scope):
    model = resnet(BackboneSettings(backbone=name, head=head, fem={"place": "pooled"}))
    size = 32
    layers, _ = prune_network(
        model,
        size,
        PruneChannelsParams(ratio=0.7, scope=scope, round_to=1, prune_fem=True),
        BACKBONES[name].blocks,
    )
    last = [module for module in model.head.modules() if isinstance(module, nn.Linear)][-1]
    assert last.out_features == 10
    assert not any(layer["path"].startswith("head") for layer in layers)
    assert model(torch.zeros(2, 3, size, size)).shape == (2, 10)
    for layer in layers:
        leader = model.get_submodule(layer["path"])
        width = leader.out_channels if isinstance(leader, nn.Conv2d) else leader.out_features
        assert width == layer["after"] == kept_channels(layer["before"], 0.7, 1)


def test_inside_blocks_the_residual_stream_keeps_its_width_and_says_so():
    model = resnet()
    layers, skipped = prune(model)
    reasons = dict(skipped)
    stream = "shared by several blocks (residual stream), outside the scope 'block-internal'"
    assert list(reasons.values()).count(stream) == 1  # the stream is one group of coupled layers
    assert sum("Feature Enhancement Module" in reason for reason in reasons.values()) >= 3
    assert [block.conv2.out_channels for _, block in blocks_of(model)] == [16] * 3 + [32] * 3 + [64] * 3
    assert not {layer["path"] for layer in layers} & reasons.keys()


def test_the_fem_is_pruned_when_asked_for():
    model = resnet()
    layers, _ = prune(model, prune_fem=True)
    assert model.fem.deep[0].out_features == 16  # of 32
    assert "fem.deep.0" in {layer["path"] for layer in layers}
    assert model.fem.deep[-1].out_features == 64


def test_rounding_that_leaves_all_is_said():
    _, skipped = prune(resnet(), ratio=0.1)
    assert (
        "body.layer1.0.conv1", "16 channels: rounded to a multiple of 8, none would go"
    ) in skipped  # fmt: skip


# Distillation


@pytest.mark.parametrize("form", ["teacher-student", "student-teacher"])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_distillation_loss_by_hand(form, temperature):
    random = np.random.default_rng(7)
    student, teacher = (random.normal(size=(5, 6)).astype(np.float32) * 3 for _ in range(2))

    def softened(logits: np.ndarray) -> np.ndarray:
        powers = np.exp(logits.astype(np.float64) / temperature)
        return powers / powers.sum(1, keepdims=True)

    s, t = softened(student), softened(teacher)
    p, q = (t, s) if form == "teacher-student" else (s, t)
    expected = temperature**2 * (p * np.log(p / q)).sum(1).mean()
    got = distillation_loss(torch.from_numpy(student), torch.from_numpy(teacher), temperature, form)
    assert float(got) == pytest.approx(expected, rel=1e-5)
    same = torch.from_numpy(teacher)
    assert float(distillation_loss(same, same, temperature, form)) == pytest.approx(0, abs=1e-6)


def test_the_students_loss_is_the_weighted_sum(data, tmp_path):
    """One step over all images, its reported parts against the same forward passes."""
    stage = STAGES["distil"]
    settings = stage.Settings.parse(
        {"teacher": "t", "alpha": 0.25, "temperature": 2.0, "training": {"epochs": 1, "batch_size": 200, "label_smoothing": 0.0}}
    )  # fmt: skip
    model = resnet(BackboneSettings())
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    model.register_forward_hook(
        lambda module, inputs, output: (
            seen.append((inputs[0].clone(), output.detach().clone())) if module.training else None
        )
    )
    labels = torch.from_numpy(data.labels[data.split("train")])
    [row] = stage.run(model, settings, context(data, tmp_path)).history
    [(images, logits)] = seen
    with torch.no_grad():
        taught = resnet(seed=9)(images)
    hard = torch.nn.functional.cross_entropy(logits, labels)
    soft = distillation_loss(logits, taught, 2.0, "teacher-student")
    assert row["train_cross_entropy"] == pytest.approx(0.75 * float(hard), rel=1e-4)
    assert row["train_distillation"] == pytest.approx(0.25 * float(soft), rel=1e-3)
    assert row["train_loss"] == pytest.approx(
        row["train_cross_entropy"] + row["train_distillation"], rel=1e-5
    )


def test_mixed_precision_says_what_it_was_and_adds_a_half_file(data, tmp_path):
    stage = STAGES["train-mixed"]
    result = stage.run(resnet(), defaults(stage, epochs=1, precision="float32"), context(data, tmp_path))
    assert result.facts["trained_in"] == resolve_precision("mixed", "cpu").name
    assert all(parameter.dtype is torch.float32 for parameter in result.model.parameters())
    assert [name for name, found in STAGES.items() if found.half_artefact] == ["train-mixed"]
