"""A small finished run, and the Inspector on it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_runs import artefact, report
from PySide6.QtWidgets import QDialog
from window_fixtures import Told, show_alone

from core.document import pipeline as documents
from core.records.reports import StageReport
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.open_document import OpenedDocument
from gui.base.actions import make_actions
from gui.base.document import Document
from gui.base.theme import Theme
from gui.base.worker import Worker
from gui.inspect.place import InspectPlace

PIPELINE = """
espalier: 1
name: Small
data: {source: fashion-mnist-sample, image_size: 16, train_images: 128, validation_images: 64, test_images: 40}
sources:
  - {id: network, settings: {backbone: resnet20}}
stages:
  - {id: fp32, kind: train, name: FP32, settings: {training: {epochs: 1}}}
  - {id: pruned, kind: prune-channels, name: Pruned, settings: {ratio: 0.5, training: {epochs: 1}}}
  - {id: int8, kind: quantize-static, name: Quantized}
"""
LOST, WON = (0, 1, 2), (30,)  # images that the pruned stage lost and won


def save_network(folder: Path, pruned: bool, data: Any) -> None:
    """A checkpoint, its export, and answers that are right but for a few images."""
    import torch

    from core.data.preprocess import make_preprocess
    from core.deploy.onnx_export import describe, export_module
    from core.models.catalogue import BACKBONES
    from core.models.checkpoint import Checkpoint, save_checkpoint
    from core.models.settings import BackboneSettings
    from core.surgery.groups import channel_groups

    pipeline = documents.loads(PIPELINE)
    network = BackboneSettings(backbone="resnet20")
    torch.manual_seed(3)
    model = BACKBONES["resnet20"].build(network, 10).eval()
    if pruned:
        groups, _ = channel_groups(model, 16, BACKBONES["resnet20"].blocks, "block-internal")
        groups[0].prune(range(8))
    preprocess = make_preprocess(pipeline.data, data)
    save_checkpoint(folder / "checkpoint", Checkpoint(model, network, preprocess, data.classes))
    about = describe(data.classes, preprocess, "float32", {})
    export_module(model, preprocess, folder / "artefacts" / "float32.onnx", about)


def save_answers(folder: Path, name: str, labels: np.ndarray, wrong: tuple[int, ...]) -> None:
    """Logits whose first answer is the label, and the class after it on the wrong images, surer and surer."""
    folder.mkdir(parents=True, exist_ok=True)
    guesses = labels.copy()
    guesses[list(wrong)] = (labels[list(wrong)] + 1) % 10
    logits = np.zeros((len(labels), 10), np.float32)
    logits[np.arange(len(labels)), guesses] = 2.0 + 0.1 * np.arange(len(labels))
    np.save(folder / f"{name}.logits.npy", logits)
    np.save(folder / "labels.npy", labels)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with a finished run: FP32, pruned, and an INT8 file that nobody exported (answers only)."""
    from core.data.store import open_data

    home = Home(tmp_path_factory.mktemp("inspect"))
    pipeline = documents.loads(PIPELINE)
    run = create_run(pipeline, home.folder, home, home.runs / "20260101-000000-small")
    data = open_data(pipeline.data, home.data)
    labels = np.asarray(data.labels[data.split("test")], np.int64)
    sources = {"fp32": "network", "pruned": "fp32", "int8": "pruned"}
    for key, wrong in (("fp32", WON), ("pruned", LOST), ("int8", (5,))):
        folder = run.stage_folder(key).path
        if key != "int8":
            save_network(folder, key == "pruned", data)
        name = "int8" if key == "int8" else "float32"
        save_answers(folder / "artefacts", name, labels, wrong)
        made = artefact(key, 90.0, 1.0, 1.0).model_copy(
            update={"id": name, "path": f"stages/{key}/artefacts/{name}.onnx", "precision": name}
        )
        if key == "int8":
            (folder / "artefacts" / "int8.onnx").write_bytes(b"")
        told = report(key, pipeline.stage(key).title, pipeline.stage(key).kind, made)
        facts = {"ranking": [["body.conv1", 12.5], ["head", 40.0]]} if key == "int8" else {}
        run.write_report(
            StageReport.model_validate({**told.model_dump(), "source": sources[key], "facts": facts})
        )
    run.update_info(status="completed")
    return home


@pytest.fixture
def opened(finished: Home) -> Path:
    return finished.runs / "20260101-000000-small"


@pytest.fixture
def place(qtbot: Any, theme: Theme, finished: Home) -> Iterator[InspectPlace]:
    from PySide6.QtWidgets import QMainWindow

    window = QMainWindow()
    qtbot.addWidget(window)
    actions = make_actions(window)
    pipeline = documents.loads(PIPELINE)
    window.document = Document(OpenedDocument(pipeline, None, finished.folder))  # type: ignore[attr-defined]
    window.told = Told()  # type: ignore[attr-defined]
    made = InspectPlace(finished, window.document, actions, window.told, window)  # type: ignore[attr-defined]
    show_alone(qtbot, window, made.view)
    yield made
    for worker in made.findChildren(Worker):
        assert worker.close(30), worker.title
    for dialog in window.findChildren(QDialog):
        dialog.close()


def done(qtbot: Any, place: InspectPlace) -> None:
    """Wait until nothing is under way."""
    qtbot.waitUntil(lambda: not any(worker.running for worker in place.findChildren(Worker)), timeout=60_000)
