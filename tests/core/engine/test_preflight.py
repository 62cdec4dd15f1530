"""Pre-flight: small pipelines go through whole, broken ones are found, nothing is left behind."""

import tempfile
from pathlib import Path

import pytest

from core.commands.main import main
from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.engine.options import Options
from core.engine.preflight import Preflight, Trial, Watcher, named_field, preflight, reduced
from core.runs.home import Home
from core.sources.backbone import BackboneSource

ONE = Options("cpu", 1)
CHAIN = """
espalier: 1
name: Rehearsed
data: {source: fashion-mnist-sample, image_size: 16}
sources: [{id: net, settings: {backbone: resnet20}}]
stages:
  - {id: fp32, kind: train, name: FP32, settings: {training: {epochs: 80, batch_size: 512, warmup_epochs: 5}}}
  - {id: pruned, kind: prune-channels, name: Pruned, settings: {ratio: 0.4, steps: 20, importance: taylor}}
  - {id: int8, kind: quantize-static, name: INT8, settings: {images: 4000}}
"""
BROKEN = """
espalier: 1
name: Broken
data: {source: fashion-mnist-sample, image_size: 16}
sources: [{id: net, settings: {backbone: resnet20}}]
stages:
  - {id: impossible, kind: prune-channels, name: Too small, settings: {target: size, size_mb: 0.01}}
  - {id: after, kind: train, name: After it}
  - {id: beside, kind: train, name: Beside it, from: net}
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def tried(text: str, home: Home) -> Preflight:
    return preflight(documents.loads(text), home.folder.parent, home, ONE)


def test_the_small_pipeline_asks_for_little_and_stays_the_same_chain() -> None:
    pipeline = documents.loads(CHAIN)
    little = reduced(pipeline)
    assert little.stage_ids == pipeline.stage_ids
    assert (little.data.train_images, little.data.validation_images, little.data.test_images) == (32, 16, 16)
    training = little.stage("fp32").settings["training"]
    assert (training["epochs"], training["batch_size"], training["warmup_epochs"]) == (1, 32, 1)
    pruned = little.stage("pruned").settings
    assert (pruned["ratio"], pruned["steps"], pruned["step_epochs"], pruned["importance_batches"]) == (
        0.4,
        2,
        1,
        1,
    )
    assert little.stage("int8").settings["images"] == 64
    assert little.axes.seed == (42,) and little.axes.grids == ()


def test_on_a_gpu_the_stages_own_batches_are_tried() -> None:
    little = reduced(documents.loads(CHAIN), "cuda")
    assert little.stage("fp32").settings["training"]["batch_size"] == 512
    assert little.data.train_images == 512


def test_a_stage_trains_longer_where_one_step_would_say_nothing() -> None:
    little = reduced(documents.loads(CHAIN), longer={"fp32": 12})
    assert little.stage("fp32").settings["training"]["epochs"] == 12
    assert little.stage("pruned").settings["step_epochs"] == 1


@pytest.mark.slow
def test_a_chain_goes_through_to_its_last_file(home: Home) -> None:
    before = set(Path(tempfile.gettempdir()).glob("espalier-preflight-*"))
    heard: list[str] = []
    trials: list[Trial] = []
    outcome = preflight(
        documents.loads(CHAIN), home.folder.parent, home, ONE,
        None, Watcher(lambda done, words: heard.append(words), trials.append),
    )  # fmt: skip
    assert outcome.passed, outcome.lines()
    assert [(t.id, t.state, t.files) for t in outcome.trials] == [
        ("fp32", "passed", ("ONNX float32",)),
        ("pruned", "passed", ("ONNX float32",)),
        ("int8", "passed", ("ONNX INT8, static",)),
    ]
    assert tuple(trials) == outcome.trials
    assert "Pruned: pruning channels" in heard and "INT8: exporting and verifying" in heard
    assert outcome.lines()[-1].startswith("Every stage passed, in ")
    assert not home.runs.exists() and home.data.is_dir()
    assert set(Path(tempfile.gettempdir()).glob("espalier-preflight-*")) == before


@pytest.mark.slow
def test_a_stage_that_fails_is_named_and_other_branches_are_tried(home: Home) -> None:
    outcome = tried(BROKEN, home)
    assert [trial.state for trial in outcome.trials] == ["failed", "skipped", "passed"]
    problem = outcome.trials[0].problem
    assert problem is not None and "cannot go lower than" in problem.message
    assert problem.place == ("stages", 0, "settings", "size_mb")
    assert outcome.problems == (problem,)
    assert outcome.trials[1].sentence == "Not tried: what it needs failed."
    assert outcome.lines()[-1].startswith("1 problem found, in ")


def test_a_source_that_cannot_be_read_is_named(home: Home) -> None:
    pipeline = documents.loads(BROKEN).with_settings("net", {"weights": "file", "weights_file": "gone.pth"})
    pipeline = pipeline.with_settings("impossible", {})
    outcome = preflight(pipeline, home.folder.parent, home, ONE)
    assert [trial.state for trial in outcome.trials] == ["skipped"] * 3
    assert len(outcome.problems) == 1 and "gone.pth" in outcome.problems[0].message
    assert outcome.problems[0].place[:2] == ("sources", 0)


def test_what_nobody_foresaw_ends_its_source_alone(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise AttributeError("'dtype' object has no attribute 'detach'")

    monkeypatch.setattr(BackboneSource, "open", broken)
    outcome = preflight(
        documents.loads(BROKEN).with_settings("impossible", {}), home.folder.parent, home, ONE
    )
    assert [trial.state for trial in outcome.trials] == ["skipped"] * 3
    assert outcome.problems[0].message.startswith(
        "Something unexpected stopped this source: AttributeError: 'dtype'"
    )
    assert outcome.problems[0].place == ("sources", 0)


def test_data_that_is_not_there_is_named(home: Home) -> None:
    pipeline = documents.loads(BROKEN)
    data = pipeline.data.model_copy(update={"source": "folder", "path": "nowhere"})
    missing = pipeline.model_copy(update={"data": data})
    outcome = preflight(missing, home.folder.parent, home, ONE)
    assert outcome.problems[0].place == ("data", "path") and not outcome.passed


def test_broken_rules_are_reported_without_trying(home: Home) -> None:
    pipeline = Pipeline.parse({**documents.loads(BROKEN).as_dict(), "baseline": "nobody"})
    outcome = preflight(pipeline, home.folder.parent, home, ONE)
    assert outcome.trials == () and outcome.problems[0].place == ("baseline",)


def test_a_person_can_stop_it(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    control = RunControl()
    control.stop()
    with pytest.raises(Stopped):
        preflight(documents.loads(BROKEN), home.folder.parent, home, ONE, control=control)
    assert not list(tmp_path.glob("espalier-preflight-*"))


def test_failures_point_to_the_setting_that_they_name() -> None:
    node = documents.loads(CHAIN).stage("pruned")
    where = ("stages", 1)
    for words, place in (
        (("Nothing goes.", "Lower 'Round to'."), ("stages", 1, "settings", "round_to")),
        (("It needs larger images.", "Set data.image_size to 32 or more."), ("data", "image_size")),
        (("The learning rate is odd.", ""), ("stages", 1, "settings", "training", "learning_rate")),
        (("A budget of size.", ""), where),  # neither matters while a ratio is asked for
        (("It went wrong.", ""), where),
    ):
        assert named_field(node, EspalierError(*words), where) == place


@pytest.mark.slow
def test_the_command_line_fails_with_the_pre_flight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ESPALIER_HOME", str(tmp_path / "home"))
    file = tmp_path / "broken.yaml"
    file.write_text(BROKEN)
    assert main(["check", str(file), "--preflight", "--no-estimate", "--threads", "1"]) == 1
    shown = capsys.readouterr().out
    assert "Too small: Expected a budget of size" in shown and "Beside it: Passed" in shown
