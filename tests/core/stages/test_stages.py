"""Every stage of the catalogue keeps the contract; the methods' numbers by hand."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_stages import SETTINGS, small_network, stage_context
from torch import nn

from core.common import yaml
from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.common.files import sha256_of
from core.common.params import Params
from core.data.access import DataAccess
from core.data.image_data import ImageData
from core.data.preprocess import make_preprocess
from core.deploy.onnx_export import describe, export_module
from core.deploy.verify import onnx_predictor
from core.machine.jobs import Job, job_named, name_of
from core.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from core.models.network_facts import NetworkFacts
from core.models.settings import BackboneSettings
from core.stages.base import DeploymentStage, ModelStage, Stage
from core.stages.catalogue import STAGES
from core.stages.context import DeployContext, StageContext
from core.training.precision import resolve_precision

NETWORK = BackboneSettings(backbone="resnet20", fem={"place": "pooled"})
NETWORKS = {
    "merge-tokens": BackboneSettings(backbone="vit-tiny", fem={"place": "pooled"})
}  # of stages for some only

every_stage = pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
every_model_stage, every_deployment_stage = (
    pytest.mark.parametrize("stage", found, ids=lambda stage: stage.id)
    for found in (
        [stage for stage in STAGES.values() if isinstance(stage, ModelStage)],
        [stage for stage in STAGES.values() if isinstance(stage, DeploymentStage)],
    )
)
every_model_stage_to_its_end = pytest.mark.parametrize(
    "stage",
    [  # quantization-aware training ends by writing its file, which takes long
        pytest.param(stage, marks=[pytest.mark.slow] if stage.effect == "quantized" else [], id=stage.id)
        for stage in STAGES.values()
        if isinstance(stage, ModelStage)
    ],
)


def resnet(settings: BackboneSettings = NETWORK, seed: int = 4) -> nn.Module:
    """A small network with the Feature Enhancement Module unless others are asked for."""
    return small_network(seed, settings)


def made_for(stage: Stage) -> nn.Module:
    """A small network that the stage can work on."""
    return small_network(4, NETWORKS.get(stage.id, NETWORK), 16)


def first_layer(model: nn.Module) -> nn.Conv2d:
    return next(module for module in model.modules() if isinstance(module, nn.Conv2d))


def context(
    data: ImageData,
    scratch: Path,
    control: RunControl | None = None,
    key: str = "k",
    network: BackboneSettings = NETWORK,
) -> StageContext:
    return stage_context(
        data, scratch, control, key=key, network=network, reference=lambda name: resnet(seed=9)
    )


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
    assert stage.check(settings, NetworkFacts(NETWORKS.get(stage.id, NETWORK))) == []
    assert stage.id == next(name for name, found in STAGES.items() if found is stage)


@every_model_stage_to_its_end
def test_a_stage_runs_and_its_network_can_be_saved_and_reloaded(stage, data, tmp_path):
    model, before, settings = made_for(stage), made_for(stage).state_dict(), NETWORKS.get(stage.id, NETWORK)
    result = stage.run(model, defaults(stage, epochs=1), context(data, tmp_path, network=settings))
    improved = result.facts["best_epoch"] == 1
    assert improved or (stage.effect == "quantized" and result.facts["best_epoch"] == 0)
    assert len(result.history) == 1 and result.training_seconds > 0
    for name, parameter in result.model.named_parameters():
        assert parameter.requires_grad, name
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all()), name
        assert bool(parameter.isfinite().all()), name
    network = result.model.eval().to(memory_format=torch.contiguous_format)  # as it is loaded
    assert torch.equal(network.head.weight, before["head.weight"]) != improved
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    preprocess = make_preprocess(SETTINGS, data)
    save_checkpoint(tmp_path / "c", Checkpoint(network, settings, preprocess, data.classes, result.facts))
    loaded = load_checkpoint(tmp_path / "c")
    with torch.no_grad():
        logits = network(images)
        assert logits.shape == (4, 10) and bool(logits.isfinite().all())
        assert torch.equal(loaded.model(images), logits)
    assert loaded.facts == result.facts


@every_model_stage
def test_cancel_stops_within_one_batch(stage, data, tmp_path):
    model, control, batches = made_for(stage), RunControl(), []
    network = NETWORKS.get(stage.id, NETWORK)

    def cancel(module: nn.Module, inputs: object, outputs: object) -> None:
        if module.training:
            batches.append(1)
            control.stop()

    first_layer(model).register_forward_hook(cancel)
    with pytest.raises(Stopped):
        stage.run(model, defaults(stage, epochs=3), context(data, tmp_path, control, network=network))
    assert len(batches) == 1


@every_model_stage_to_its_end
def test_without_epochs_nothing_is_trained(stage, data, tmp_path):
    network = NETWORKS.get(stage.id, NETWORK)
    result = stage.run(made_for(stage), defaults(stage, epochs=0), context(data, tmp_path, network=network))
    assert result.history == [] and result.training_seconds == 0
    assert torch.equal(first_layer(result.model).weight, first_layer(made_for(stage)).weight)
    assert stage.epochs(defaults(stage, epochs=0)) == 0


@pytest.fixture(scope="module")
def exported(data, tmp_path_factory) -> Path:
    """A small network as a float32 file."""
    path = tmp_path_factory.mktemp("exported") / "float32.onnx"
    preprocess = make_preprocess(SETTINGS, data)
    export_module(resnet(), preprocess, path, describe(data.classes, preprocess, "float32", {"run": "r"}))
    return path


def in_this_process(job: Job, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A job of the tool child, which gets and gives plain data only."""
    plain = json.loads(json.dumps(arguments))
    answer = job_named(name_of(job))(plain, lambda done, text: None)
    return json.loads(json.dumps(answer))


def deploy_context(tmp_path: Path, cache: Path, job: Any = in_this_process) -> DeployContext:
    return DeployContext(
        stage="s", seed=1, key="k", target=tmp_path / "file.onnx", scratch=tmp_path,
        data=DataAccess(SETTINGS, cache, None, 1),
        control=RunControl(), emit=lambda event: None, job=job,
    )  # fmt: skip


@every_deployment_stage
def test_a_deployment_stage_writes_a_file_that_answers(stage, exported, data, tmp_path):
    before = sha256_of(exported)
    context = deploy_context(tmp_path, tmp_path / "cache")
    settings = defaults(stage)
    if "learn_images" in type(settings).model_fields:  # seconds, not minutes
        settings = settings.model_copy(update={"learn_images": 8, "steps": 5})
    result = stage.deploy(exported, settings, context)
    assert result.file.path == context.target and result.file.precision and result.file.label
    assert sha256_of(exported) == before
    predictor, source = onnx_predictor(context.target, 1), onnx_predictor(exported, 1)
    images = data.images[data.split("test")[:32]]
    logits, expected = predictor.network(images), source.network(images)
    assert logits.shape == (32, 10) and np.isfinite(logits).all()
    assert (logits.argmax(1) == expected.argmax(1)).mean() > 0.8
    assert predictor.classes == data.classes and predictor.preprocess == source.preprocess
    assert predictor.facts["run"] == "r"
    json.dumps([result.facts, result.notes, result.skipped])
    assert stage.epochs(defaults(stage)) == 0


@every_deployment_stage
def test_a_stopped_job_stops_the_stage(stage, exported, tmp_path):
    def stopped(job: Job, arguments: Mapping[str, Any]) -> dict[str, Any]:
        raise Stopped

    if stage.id == "as-given":
        pytest.skip("copies a file, without a job")
    with pytest.raises(Stopped):
        stage.deploy(exported, defaults(stage), deploy_context(tmp_path, tmp_path, stopped))
    assert not (tmp_path / "file.onnx").exists()


@pytest.mark.parametrize("kind", ["quantize-static", "quantize-dynamic", "quantize-mixed"])
def test_a_quantization_that_keeps_everything_in_float_is_refused(kind, tmp_path):
    stage = STAGES[kind]
    settings = stage.Settings.parse({"keep": "body.conv1, *"})
    [problem] = stage.check(settings, NetworkFacts(None))
    assert (
        problem.message == "Every layer is kept in float by '*', so that none would become one of integers."
    )
    assert stage.check(stage.Settings.parse({"keep": "body.*"}), NetworkFacts(None)) == []
    if kind == "quantize-mixed":
        return
    report = {"quantized_layers": 0, "layers": 3, "skipped": [("a", "kept in float by 'a*'")] * 3}
    context = deploy_context(tmp_path, tmp_path, lambda job, arguments: report)
    with pytest.raises(EspalierError) as caught:
        stage.deploy(tmp_path / "f.onnx", settings, context)
    assert caught.value.message == (
        "Expected layers that become integers; all 3 of this network stay in float: kept in float by 'a*'."
    )


# Mixed precision


def test_mixed_precision_says_what_it_was_and_adds_a_half_file(data, tmp_path):
    stage = STAGES["train-mixed"]
    for precision in ("mixed", "float32"):
        how = defaults(stage, epochs=1).model_copy(update={"precision": precision})
        result = stage.run(resnet(), how, context(data, tmp_path, key=precision))
        assert result.facts["trained_in"] == resolve_precision(precision, "cpu").name
    assert all(parameter.dtype is torch.float32 for parameter in result.model.parameters())
    assert [
        name for name, found in STAGES.items() if isinstance(found, ModelStage) and found.half_artefact
    ] == ["train-mixed"]
