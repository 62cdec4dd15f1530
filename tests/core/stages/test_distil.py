"""The stage: the parts of the student's loss, who learns and who does not, and resuming bit for bit."""

import copy
import math
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_stages import NETWORK, SETTINGS, reloads, small_network, stage_context
from torch import Tensor, nn

import core.training.loop
import core.training.losses
import core.training.precision
from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.data.image_data import ImageData
from core.data.preprocess import HALF, Preprocess, make_preprocess
from core.data.randomness import derive_seed
from core.engine.stage_inputs import StageInputs
from core.models.checkpoint import Checkpoint, save_checkpoint
from core.models.network_facts import NetworkFacts
from core.models.settings import BackboneSettings
from core.stages.context import StageContext
from core.stages.distil import Distil, DistilParams, parse_layers
from core.stages.fine_tune import run_training
from core.stages.result import StageResult
from core.training.distillation import (
    POOLED,
    Translated,
    angle_loss,
    attention_loss,
    distance_loss,
    distillation_loss,
    hint_loss,
    layer_pairs,
    make_adapters,
    tapped,
)

ALL = {"alpha": 0.5, "hints": 2.0, "attention": 1000.0, "rkd_distance": 25.0, "rkd_angle": 50.0}
PARTS = ("cross_entropy", "distillation", "hints", "attention", "rkd_distance", "rkd_angle")


def network(name: str = "resnet20", seed: int = 4) -> nn.Module:
    return small_network(seed, BackboneSettings(backbone=name))


def settings(training: dict[str, object] | None = None, **changes: object) -> DistilParams:
    how = {"epochs": 1, "batch_size": 50, "learning_rate": 0.01} | (training or {})
    return DistilParams.parse({"teacher": "t", "training": how} | changes)


def context(
    data: ImageData, scratch: Path, teacher: nn.Module, control: RunControl | None = None
) -> StageContext:
    return stage_context(data, scratch, control, reference=lambda name: teacher)


def distil(
    model: nn.Module,
    teacher: nn.Module,
    how: DistilParams,
    data: ImageData,
    scratch: Path,
    control: RunControl | None = None,
) -> StageResult:
    return Distil().run(model, how, context(data, scratch, teacher, control))


def numbers(*shape: int, seed: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def hooks(model: nn.Module) -> list[str]:
    return [path for path, m in model.named_modules() if m._forward_hooks or m._forward_pre_hooks]


def same(first: nn.Module, second: nn.Module) -> bool:
    a, b = first.state_dict(), second.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# Training


def test_the_students_loss_is_the_weighted_sum(data, tmp_path):
    """One step over all images, its reported parts against the same forward passes."""
    how = settings({"batch_size": 200, "label_smoothing": 0.0}, temperature=2.0, **{**ALL, "alpha": 0.25})
    model, teacher = network(), network(seed=9)
    seen: list[tuple[Tensor, dict[str, Tensor]]] = []

    def see(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        if module.training:
            twin = copy.deepcopy(before).train()
            with tapped(twin, paths) as outputs, torch.no_grad():
                outputs["logits"] = twin(inputs[0])
            seen.append((inputs[0].clone(), outputs))

    before, paths = network(), ["body.layer1", "body.layer2", "body", POOLED]
    model.register_forward_hook(see)
    labels = torch.from_numpy(data.labels[data.split("train")])
    [row] = distil(model, teacher, how, data, tmp_path).history
    [(images, learned)] = seen
    with torch.no_grad(), tapped(teacher, paths) as taught:
        answers = teacher(images)
    pairs = layer_pairs(network(), network(), images[:2])
    adapters = make_adapters(pairs, derive_seed(1, "k", "adapters"))
    maps = [(learned[path], taught[path]) for path in paths[:3]]
    expected = {
        "cross_entropy": 0.75 * nn.functional.cross_entropy(learned["logits"], labels),
        "distillation": 0.25 * distillation_loss(learned["logits"], answers, 2.0, "teacher-student"),
        "hints": 2 * sum(hint_loss(*both, adapter) for both, adapter in zip(maps, adapters, strict=True)),
        "attention": 1000 * sum(attention_loss(*both) for both in maps),
        "rkd_distance": 25 * distance_loss(learned[POOLED], taught[POOLED]),
        "rkd_angle": 50 * angle_loss(learned[POOLED], taught[POOLED]),
    }
    for name, value in expected.items():
        assert row[f"train_{name}"] == pytest.approx(value.item(), rel=1e-3), name
    assert row["train_loss"] == pytest.approx(sum(row[f"train_{name}"] for name in PARTS), rel=1e-5)


def test_answers_alone_train_as_two_parts_written_out_do(data, tmp_path):
    """Bit for bit: neither empty adapters nor taps change anything."""
    teacher = network(seed=9)

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> core.training.losses.Losses:
        logits = model(images)
        with torch.no_grad():
            answers = teacher(images)
        hard = nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
        soft = distillation_loss(logits, answers, 4.0, "teacher-student")
        return core.training.losses.Losses(logits, {"cross_entropy": 0.7 * hard, "distillation": 0.3 * soft})

    (tmp_path / "plain").mkdir()
    model, how = network(), settings()
    teacher.to(memory_format=torch.channels_last)
    run_training(model, how.training, context(data, tmp_path / "plain", teacher), loss=loss)
    assert same(model, distil(network(), teacher, how, data, tmp_path).model)


@pytest.mark.parametrize("on", ["alpha", "hints", "attention", "rkd_distance", "rkd_angle"])
def test_a_part_with_weight_0_is_not_there(on, data, tmp_path, monkeypatch):
    taps: list[set[str]] = []
    adapted: list[int] = []
    monkeypatch.setattr(
        "core.training.distillation.tapped",
        lambda model, paths: taps.append(set(paths)) or tapped(model, paths),
    )
    monkeypatch.setattr(
        "core.training.distillation.make_adapters",
        lambda pairs, seed: adapted.append(len(pairs)) or make_adapters(pairs, seed),
    )
    result = distil(
        network(), network(seed=9), settings({"batch_size": 100}, **{"alpha": 0.0, on: 1.0}), data, tmp_path
    )
    maps = on in ("hints", "attention")
    assert set(taps[0]) == (
        {"body.layer1", "body.layer2", "body"} if maps else {POOLED} if on.startswith("rkd") else set()
    )
    assert adapted == [3 if on == "hints" else 0]
    assert ("layer_pairs" in result.facts) == maps
    parts = {name for name in PARTS if f"train_{name}" in result.history[0]}
    assert parts == ({"distillation"} if on == "alpha" else {"cross_entropy", on})


def test_student_and_adapters_learn_and_the_teacher_does_not(data, tmp_path, monkeypatch):
    adapters_made: list[nn.ModuleList] = []
    monkeypatch.setattr(
        "core.training.distillation.make_adapters",
        lambda pairs, seed: adapters_made.append(make_adapters(pairs, seed)) or adapters_made[0],
    )
    teacher, untouched = network("resnet32", seed=9).train(), network("resnet32", seed=9)
    result = distil(network(), teacher, settings(alpha=1.0, hints=1.0, rkd_angle=1.0), data, tmp_path)
    assert same(teacher, untouched), "weights or batch statistics of the teacher moved"
    assert not any(module.training for module in teacher.modules())
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
    for name, parameter in [*result.model.named_parameters(), *adapters_made[0].named_parameters()]:
        assert parameter.grad is not None and float(parameter.grad.abs().sum()) > 0, name
    pairs = layer_pairs(network(), untouched, torch.zeros(2, 3, 16, 16))
    assert not same(adapters_made[0], make_adapters(pairs, derive_seed(1, "k", "adapters")))
    assert hooks(teacher) == hooks(result.model) == []


@pytest.mark.parametrize("part", ["hints", "attention", "rkd_distance", "rkd_angle"])
def test_each_part_alone_brings_the_student_closer(part, data, tmp_path):
    """Without their weight, hints fell by an eighth and the others rose."""
    how = settings(
        {"epochs": 3, "optimiser": "adam", "learning_rate": 3e-3}, alpha=0.0, **{part: 100.0}
    )  # fmt: skip
    losses = [row[f"train_{part}"] for row in distil(network(), network(seed=9), how, data, tmp_path).history]
    assert losses[-1] < 0.7 * losses[0]


def pruned() -> nn.Module:
    """A ResNet-20 with half of the channels inside one block."""
    model = network()
    block = model.body.layer3[2]
    block.conv1 = nn.Conv2d(64, 32, 3, padding=1, bias=False)
    block.bn1 = nn.BatchNorm2d(32)
    block.conv2 = nn.Conv2d(32, 64, 3, padding=1, bias=False)
    return model.eval()


@pytest.mark.parametrize("student", [pruned, lambda: network("plain-cnn-tiny")], ids=["pruned", "plain"])
def test_a_student_of_another_shape_learns_and_its_checkpoint_is_only_its_own(student, data, tmp_path):
    teacher = network(seed=9)
    result = distil(student(), teacher, settings(**ALL), data, tmp_path)
    assert all(math.isfinite(result.history[0][f"train_{name}"]) for name in PARTS)
    student_model = result.model.eval().to(memory_format=torch.contiguous_format)
    assert student_model.state_dict().keys() == student().state_dict().keys()
    assert not same(student_model, student()) and hooks(student_model) == hooks(teacher) == []
    name = "resnet20" if "layer1" in dict(student_model.body.named_children()) else "plain-cnn-tiny"
    assert reloads(result, data, tmp_path, BackboneSettings(backbone=name))


@pytest.mark.slow
def test_it_resumes_bit_for_bit_with_its_adapters(data, tmp_path):
    how = settings({"epochs": 3}, **ALL)
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    whole = distil(network(), network(seed=9), how, data, tmp_path / "whole")

    control, steps, cut = RunControl(), [], network()

    def stop(module: nn.Module, inputs: object, output: object) -> None:
        steps.append(module.training)
        if steps.count(True) == 6:  # of four an epoch
            control.stop()

    cut.register_forward_hook(stop)
    teacher = network(seed=9)
    with pytest.raises(Stopped):
        distil(cut, teacher, how, data, tmp_path / "cut", control)
    assert hooks(teacher) == [] and hooks(cut) == [""]  # the test's own
    assert steps.count(True) == 6
    torch.manual_seed(99)  # another process draws differently
    resumed = distil(network(), network(seed=9), how, data, tmp_path / "cut")
    assert same(whole.model, resumed.model)
    drop = {"seconds"}
    for one, other in zip(whole.history, resumed.history, strict=True):
        assert {k: v for k, v in one.items() if k not in drop} == {
            k: v for k, v in other.items() if k not in drop
        }
    state = torch.load(tmp_path / "cut" / "train.resume", weights_only=True)
    assert state["modules"]["1.2.weight"].shape == (64, 64, 1, 1)  # the adapters


def test_in_mixed_precision_the_parts_stay_float32(data, tmp_path, monkeypatch):
    mixed = core.training.precision.Precision("bfloat16", torch.bfloat16, False, "Trained in bfloat16.")
    monkeypatch.setattr(core.training.loop, "resolve_precision", lambda wanted, device: mixed)
    kinds: list[torch.dtype] = []
    real = core.training.losses.Losses
    monkeypatch.setattr(
        core.training.losses, "Losses",
        lambda logits, parts: kinds.extend([logits.dtype, *(part.dtype for part in parts.values())]) or real(logits, parts),
    )  # fmt: skip
    result = distil(network(), network(seed=9), settings({"batch_size": 200}, **ALL), data, tmp_path)
    assert kinds == [torch.bfloat16] + [torch.float32] * 6
    assert all(math.isfinite(result.history[0][f"train_{name}"]) for name in PARTS)


# Layers


def test_named_layers_are_taken_and_wrong_ones_refused(data, tmp_path):
    how = settings(
        attention=1.0, layers="body.layer1.0=body.layer2, body = body.layer3.1", training={"epochs": 0}
    )
    result = distil(network(), network("resnet32"), how, data, tmp_path)
    assert result.facts["layer_pairs"] == [["body.layer1.0", "body.layer2"], ["body", "body.layer3.1"]]
    assert result.notes == [
        "Feature maps compared: body.layer1.0 (16×16×16) from body.layer2 (32×8×8); "
        "body (64×4×4) from body.layer3.1 (64×4×4)."
    ]
    for layers, whose, received in [
        ("body.layer9=body", "student", "body.layer9"), ("body=head", "teacher", "head"),
    ]:  # fmt: skip
        with pytest.raises(EspalierError) as caught:
            distil(network(), network(), settings(hints=1.0, layers=layers), data, tmp_path)
        assert caught.value.message == (
            f"Expected a layer of the {whose} that gives one feature map, received {received!r}."
        )
        assert caught.value.advice == (
            "Layers before each change of resolution are: body.layer1, body.layer2, body."
        )


def test_attention_without_positions_is_refused(data, tmp_path):
    how = settings(attention=1.0, layers="body=pool")
    with pytest.raises(EspalierError, match="the maps of student and teacher share one position only"):
        distil(network(), network(), how, data, tmp_path)


def test_a_translated_teacher_is_tapped_by_its_own_names(data, tmp_path):
    mine, its = make_preprocess(SETTINGS, data), Preprocess(32, 3, *HALF)
    teacher = Translated(network("resnet32", seed=9), mine, its, list(range(10)))
    result = distil(network(), teacher, settings(**ALL), data, tmp_path)
    assert result.notes[0].startswith(
        "Feature maps compared: body.layer1 (16×16×16) from body.layer1 (16×32×32); "
    )
    assert hooks(teacher) == []


def test_a_reference_is_translated_where_it_has_to_be(data, tmp_path):
    mine = make_preprocess(SETTINGS, data)
    folder, order = tmp_path / "c", [1, 0, *range(2, 10)]
    images = np.asarray(data.images[:6])

    def reference(preprocess: Preprocess, classes: tuple[str, ...]) -> nn.Module:
        save_checkpoint(folder, Checkpoint(network(), NETWORK, preprocess, classes))
        around = SimpleNamespace(reference_folder=lambda name, seed: folder, data=data)
        around._check_classes = partial(StageInputs._check_classes, around)
        return StageInputs.reference(around, "t", 1, mine, "cpu")

    assert not isinstance(reference(mine, data.classes), Translated)
    swapped = tuple(data.classes[index] for index in order)
    its = Preprocess(16, 3, *HALF)
    with torch.no_grad():
        answers = reference(its, swapped)(mine(images))
        torch.testing.assert_close(answers, network()(its(images))[:, order], rtol=1e-5, atol=1e-5)
    with pytest.raises(EspalierError) as caught:
        reference(mine, (*data.classes[:9], "other"))
    assert caught.value.message.startswith("The network 't' was trained on other classes (")


# Settings


def test_settings_that_teach_nothing_or_are_no_pairs_are_found_before():
    check = Distil().check
    assert check(settings(**ALL), NetworkFacts(NETWORK)) == []
    [problem] = check(settings(alpha=0.0), NetworkFacts(NETWORK))
    assert problem.message == "Every distillation weight is 0, so the teacher would teach nothing."
    assert problem.place == ("alpha",)
    for text, received in [("body", "body"), ("a=b,", ""), ("a=b=c", "a=b=c"), ("a=b, =c", "=c")]:
        [problem] = check(settings(layers=text), NetworkFacts(NETWORK))
        assert (
            problem.message == f"Expected layer pairs as in 'body.layer1=body.layer2', received {received!r}."
        )
        assert problem.place == ("layers",)
    assert parse_layers(" ") == [] and parse_layers("a.b = c ,d=e") == [("a.b", "c"), ("d", "e")]


def test_two_teachers_teach_the_mean_of_their_answers(data, tmp_path):
    how = settings(
        {"batch_size": 200}, alpha=1.0, second_teacher="u", second_weight=3.0, temperature=2.0, hints=1.0
    )
    teachers = {"t": network(seed=9), "u": network("resnet20", 11)}
    model, seen = network(), []

    def see(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        if module.training:
            seen.append((inputs[0].clone(), output.detach().clone()))

    handle = model.register_forward_hook(see)
    where = stage_context(data, tmp_path, reference=lambda name: teachers[name])
    [row] = Distil().run(model, how, where).history
    handle.remove()
    [(images, logits)] = seen
    with torch.no_grad():
        softened = [(teacher.eval()(images) / 2).softmax(1) for teacher in teachers.values()]
    chances = (softened[0] + 3 * softened[1]) / 4
    expected = 4 * (chances * (chances.log() - (logits / 2).log_softmax(1))).sum(1).mean()
    assert row["train_distillation"] == pytest.approx(float(expected), rel=1e-4)
    assert row["train_hints"] > 0  # of the first teacher alone


def test_teachers_that_are_not_chosen_are_no_references():
    stage = Distil()
    assert stage.references(settings()) == {"teacher": "t"}
    assert stage.references(settings(third_teacher="u")) == {"teacher": "t", "third_teacher": "u"}
    assert stage.epochs(settings(third_teacher="u")) == pytest.approx(1.8)
    assert not {"second_teacher", "second_weight"} & settings().for_key().keys()
