"""The beginning of a report: one sentence, a few figures, the images that turned, class by class."""

from pathlib import Path

import numpy as np
import pytest
from made_runs import TINY, made_run, report
from made_runs import artefact as made_file
from PIL import Image

from core.common.control import RunControl
from core.comparison.changed_images import evidence_of
from core.comparison.compared_runs import read_run
from core.comparison.headline import headline
from core.comparison.report import as_html
from core.document import pipeline as documents
from core.records.metrics import METRICS
from core.records.reports import Metric
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.run_folder import RunFolder

SAME = Metric(value=-0.5, unit="points", low=-1.6, high=0.6, level=0.95, n=10_000)
WORSE = Metric(value=-4.0, unit="points", low=-5.0, high=-3.0, level=0.95, n=200)
FASTER = Metric(value=0.5, unit="ratio", low=0.48, high=0.52, level=0.99, n=30, how="alternating blocks")

UNSURE = FASTER.model_copy(update={"value": 0.55, "low": 0.45, "high": 0.65})


@pytest.mark.parametrize(
    ("size", "change", "sentence"),
    [
        (0.5, {"top1": SAME}, "8 times smaller, accuracy not measurably changed on 10\u202f000 images (−1.6 to +0.6 points)."),
        (3.4, {"top1": WORSE}, "15 % smaller, 4.0 points (3.0 to 5.0) less accurate on 200 images."),
        (
            2.0, {"top1": SAME, "latency_ms": FASTER},
            "2 times smaller and 2 times faster, accuracy not measurably changed on 10\u202f000 images (−1.6 to +0.6 points).",
        ),
        (
            2.0, {"top1": SAME, "latency_ms": UNSURE},
            "2 times smaller and 1.5 to 2.2 times faster, accuracy not measurably changed on 10\u202f000 images (−1.6 to +0.6 points).",
        ),
        (4.0, {"top1": SAME}, "Accuracy not measurably changed on 10\u202f000 images (−1.6 to +0.6 points)."),
    ],
)  # fmt: skip
def test_the_sentence_says_only_what_the_intervals_support(
    own_home: Path, tmp_path: Path, size: float, change: dict[str, Metric], sentence: str
) -> None:
    run = made_run(documents.loads(TINY), Home(own_home), tmp_path, 2)
    last = made_file("taught", 76.0, 0.5, size, **change)
    run.stage_folder("taught").path.mkdir(parents=True, exist_ok=True)
    run.write_report(report("taught", "Taught", "distil", last))
    compared = read_run(run)
    found = headline(compared, compared.rows())
    assert found is not None and found.sentence == sentence
    assert found.about.startswith("Taught against FP32") and found.tiles[0].label == METRICS["top1"].label


def test_a_run_without_its_result_has_no_headline(own_home: Path, tmp_path: Path) -> None:
    compared = read_run(made_run(documents.loads(TINY), Home(own_home), tmp_path, 1))
    assert headline(compared, compared.rows()) is None
    assert "headline" not in as_html([compared], compared.rows(), [METRICS["top1"]]).partition("<body>")[2]


PETS = """
espalier: 1
name: Pets
data: {source: folder, path: my pets}
sources: [{id: network, settings: {backbone: resnet20}}]
stages:
  - {id: fp32, kind: train, name: FP32, settings: {training: {epochs: 1}}}
  - {id: pruned, kind: prune-channels, name: Pruned, settings: {training: {epochs: 1}}}
"""


@pytest.fixture
def pets(own_home: Path, tmp_path: Path) -> RunFolder:
    """A run whose second stage loses two cats and wins a dog, on a test folder of eight pictures."""
    for split, count in (("train", 6), ("test", 4)):
        for label, name in enumerate(("cats", "dogs")):
            (tmp_path / "my pets" / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = np.full((10, 10, 3), 20 * number + 100 * label, np.uint8)
                Image.fromarray(pixels).save(tmp_path / "my pets" / split / name / f"{name}-{number}.png")
    run = create_run(documents.loads(PETS), tmp_path, Home(own_home))
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    for key, name, right in (
        ("fp32", "FP32", [1, 1, 1, 1, 1, 1, 1, 0]),
        ("pruned", "Pruned", [0, 0, 1, 1, 1, 1, 1, 1]),
    ):
        folder = run.stage_folder(key).artefacts.path
        folder.mkdir(parents=True)
        guesses = np.where(np.array(right) == 1, labels, 1 - labels)
        np.save(folder / "float32.logits.npy", np.eye(2, dtype=np.float32)[guesses] * 4)
        np.save(folder / "labels.npy", labels)
        (folder / "float32.onnx").write_bytes(b"no model")
        file = made_file(key, 100.0 * sum(right) / 8, 1.0, 4.0).model_copy(
            update={"path": f"stages/{key}/artefacts/float32.onnx"}
        )
        run.write_report(report(key, name, "train", file))
    run.update_info(status="completed")
    return run


def test_images_that_turned_are_shown_with_their_files(pets: RunFolder, own_home: Path) -> None:
    found = evidence_of(pets.folder, Home(own_home), RunControl())
    assert found is not None and not found.missing
    assert [(flip.name, flip.true, flip.before, flip.after, flip.lost) for flip in found.flips] == [
        ("cats-0.png", "cats", "cats", "dogs", True),
        ("cats-1.png", "cats", "cats", "dogs", True),
        ("dogs-3.png", "dogs", "cats", "dogs", False),
    ]
    assert all(flip.picture.startswith("data:image/png;base64,") for flip in found.flips)
    assert [(one.name, one.change) for one in found.classes] == [("cats", -50.0), ("dogs", 25.0)]


def test_the_page_shows_them_and_needs_nothing_else(pets: RunFolder, own_home: Path) -> None:
    compared = read_run(pets)
    page = as_html([compared], compared.rows(), [METRICS["top1"]], home=Home(own_home))
    assert page.count("<figure>") == 3 and "cats-1.png" in page and "Class by class" in page
    assert "<details>" in page and "http" not in page.partition("<body>")[2]
    assert "@media print" in page and "details-content" in page
