"""Models on one's own images: answers against longhand figures, odd images in words, sessions that stay open."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_models import CLASSES, write_model

from core.analysis.accuracy import wilson
from core.analysis.tryout import (
    Answer,
    Tally,
    Trial,
    Tryout,
    class_of_folder,
    images_below,
    network_input,
    preview,
    write_sheet,
)
from core.common.errors import EspalierError
from core.data.preprocess import Preprocess


@pytest.fixture(scope="module")
def tryout() -> Iterator[Tryout]:
    with Tryout() as made:
        yield made


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "plain.onnx", np.eye(3))


def saved(path: Path, colour: tuple[int, ...], size: tuple[int, int] = (20, 12), mode: str = "RGB") -> Path:
    Image.new(mode, size, colour).save(path)
    return path


def test_answers_are_the_longhand_ones(tryout: Tryout, model: Path, tmp_path: Path) -> None:
    other = write_model(tmp_path / "turned.onnx", -np.eye(3))
    trial = tryout.classify([model, other], saved(tmp_path / "a.png", (200, 100, 50)))
    logits = (np.array([200, 100, 50]) / 255 - 0.5) / 0.25
    for answer, sign in zip(trial.answers, (1, -1), strict=True):
        powers = np.exp(sign * logits)
        wanted = sorted(zip(CLASSES, powers / powers.sum(), strict=True), key=lambda pair: -pair[1])
        assert [name for name, _ in answer.best] == [name for name, _ in wanted]
        assert [share for _, share in answer.best] == pytest.approx([share for _, share in wanted], abs=1e-6)
        assert 0 < answer.seconds < 0.1
    assert trial.answers[0].best[0][0] == "red" and trial.answers[1].best[0][0] == "blue"
    assert (trial.agree, trial.width, trial.height, trial.notes, trial.problem) == (False, 20, 12, (), "")
    assert tryout.classify([model, model], tmp_path / "a.png").agree is True
    assert tryout.classify([model], tmp_path / "a.png").agree is None


@pytest.mark.parametrize(("channels", "stored"), [(3, 3), (1, 1), (1, 3)])
def test_the_input_is_what_training_saw(channels: int, stored: int) -> None:
    """To the last bit, because the same network must give the same answers; luma may round otherwise."""
    mean, std = (0.4914, 0.4822, 0.4465)[:channels], (0.2470, 0.2435, 0.2616)[:channels]
    prepare = Preprocess(16, channels, mean, std)
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, stored), dtype=np.uint8)
    made, wanted = network_input(pixels, prepare), prepare(pixels[None]).numpy()
    assert made.shape == wanted.shape and made.dtype == np.float32
    if channels == stored:
        assert np.array_equal(made, wanted)
    else:
        assert np.abs(made - wanted).max() < 1e-5


def test_odd_images_are_explained(tryout: Tryout, model: Path, tmp_path: Path) -> None:
    saved(tmp_path / "one.png", (255, 0, 0), (1, 1))
    saved(tmp_path / "print.jpg", (0, 255, 255, 0), mode="CMYK")
    Image.fromarray(np.full((20, 20), 30000, np.uint16)).save(tmp_path / "deep.png")
    saved(tmp_path / "clear.png", (255, 0, 0, 0), mode="RGBA")
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    for name, note in (
        ("one.png", "It has only 1 × 1 pixels and is enlarged to 8 × 8."),
        ("print.jpg", "Its CMYK colours are converted to RGB."),
        ("deep.png", "Its 16-bit values are scaled to 8 bits."),
        ("clear.png", "Its transparent parts are shown over white."),
        ("moving.gif", "It has 2 frames or pages; the first one is used."),
    ):
        trial = tryout.classify([model], tmp_path / name)
        assert trial.notes == (note,) and not trial.problem
    white = tryout.classify([model], tmp_path / "clear.png").answers[0]
    assert [share for _, share in white.best] == pytest.approx([1 / 3] * 3)
    assert tryout.classify([model], tmp_path / "print.jpg").answers[0].best[0][0] == "red"


def test_unreadable_images_are_no_failure(tryout: Tryout, model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    saved(tmp_path / "cut.bmp", (1, 2, 3))
    (tmp_path / "cut.bmp").write_bytes((tmp_path / "cut.bmp").read_bytes()[:90])
    for name, reason in (
        ("empty.png", "Cannot be read: empty: the file has 0 bytes."),
        ("cut.bmp", "Cannot be read: damaged: "),
        ("gone.png", "Cannot be read: No such file or directory."),
    ):
        trial = tryout.classify([model], tmp_path / name)
        assert trial.problem.startswith(reason) and trial.answers == ()
    with pytest.raises(EspalierError, match=r"empty\.png cannot be read: empty"):
        preview(tmp_path / "empty.png", 100)


def test_models_that_cannot_be_tried_are_refused(tryout: Tryout, tmp_path: Path) -> None:
    image = saved(tmp_path / "a.png", (1, 2, 3))
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    for path, words in (
        (write_model(tmp_path / "foreign.onnx", np.eye(3), None), "does not say how images"),
        (write_model(tmp_path / "four.onnx", np.eye(3), batch=4), "takes 4 images at a time"),
        (tmp_path / "broken.onnx", "broken.onnx is a text that begins with 'no graph'"),
        (tmp_path / "gone.onnx", "gone.onnx is gone"),
    ):
        with pytest.raises(EspalierError, match=words):
            tryout.classify([path], image)


def test_a_model_that_was_written_anew_is_opened_anew(tryout: Tryout, model: Path, tmp_path: Path) -> None:
    image = saved(tmp_path / "a.png", (200, 100, 50))
    assert tryout.classify([model], image).answers[0].best[0][0] == "red"
    write_model(model, np.roll(np.eye(3), 1, axis=1) * 2)
    assert tryout.classify([model], image).answers[0].best[0][0] == "green"


def test_a_network_for_grey_images_takes_colour(tryout: Tryout, tmp_path: Path) -> None:
    grey = Preprocess(8, 1, (0.0,), (1.0,))
    model = write_model(tmp_path / "grey.onnx", np.array([[4.0, 0.0, -4.0]]), grey)
    coloured = tryout.classify([model], saved(tmp_path / "a.png", (255, 0, 0))).answers[0]
    logits = np.array([4.0, 0.0, -4.0]) * 0.2989
    assert coloured.best[0][1] == pytest.approx(np.exp(logits[0]) / np.exp(logits).sum(), abs=1e-6)
    plain = tryout.classify([model], saved(tmp_path / "g.png", (255,), mode="L")).answers[0]
    assert plain.best[0][1] == pytest.approx(np.exp(4) / np.exp([4, 0, -4]).sum(), abs=1e-6)


def test_images_of_a_folder(tmp_path: Path) -> None:
    for name in ("b/2.PNG", "b/10.jpg", "a.webp", ".hidden.png", "__MACOSX/c.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in images_below(tmp_path)] == ["a.webp", "10.jpg", "2.PNG"]
    assert images_below(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]
    (tmp_path / "none").mkdir()
    with pytest.raises(EspalierError, match="The folder none holds no images"):
        images_below(tmp_path / "none")
    with pytest.raises(EspalierError, match="is not there any more"):
        images_below(tmp_path / "gone")


def test_the_preview_keeps_the_shape(tmp_path: Path) -> None:
    assert preview(saved(tmp_path / "a.png", (9, 8, 7), (400, 100)), 200).shape == (50, 200, 3)
    assert preview(saved(tmp_path / "b.png", (9,), (3, 1), "L"), 200).tolist() == [[[9, 9, 9]] * 3]


def test_the_tally_of_many_trials() -> None:
    def trial(first: str, second: str, *seconds: float) -> Trial:
        return Trial(
            tuple(Answer(((name, 1.0),), s) for name, s in zip((first, second), seconds, strict=True))
        )

    tally = Tally.of(
        [trial("a", "a", 0.0113, 0.001), trial("a", "b", 0.0022, 0.001), Trial(problem="Cannot be read.")]
    )
    assert (tally.tried, tally.agreeing, tally.unreadable) == (2, 1, 1)
    tally.add(trial("a", "a", 0.0015, 0.001))  # the first of a process is slow: the mean was 5 ms
    assert tally.median_seconds(0) == pytest.approx(0.0022) and tally.median_seconds(1) == pytest.approx(
        0.001
    )
    assert Tally().median_seconds(0) is None


def test_a_folder_that_is_called_like_a_class_says_what_its_images_show(
    tryout: Tryout, model: Path, tmp_path: Path
) -> None:
    classes = ("red", "Caf\u00e9")
    assert class_of_folder(Path("x/RED/a.png"), classes) == "red"
    assert class_of_folder(Path("x/cafe\u0301/a.png"), classes) == "Caf\u00e9"
    assert class_of_folder(Path("red/other/a.png"), classes) == ""
    (tmp_path / "Blue").mkdir()
    trial = tryout.classify([model], saved(tmp_path / "Blue" / "a.png", (200, 100, 50)))
    assert trial.truth == "blue" and trial.right(0) is False and tryout.classes == tuple(CLASSES)
    assert tryout.classify([model], saved(tmp_path / "a.png", (0, 0, 250))).right(0) is None


def test_right_answers_are_counted_and_written(tmp_path: Path) -> None:
    def trial(first: str, second: str, truth: str) -> Trial:
        return Trial(tuple(Answer(((name, 0.5),), 0.002) for name in (first, second)), 4, 4, (), "", truth)

    trials = [
        trial("=a", "=a", "=a"),
        trial("=a", "b", "b"),
        trial("b", "b", "b"),
        trial("b", "b", ""),
        Trial(problem="Torn."),
    ]
    tally = Tally.of(trials)
    assert (tally.labelled, tally.right, tally.tried) == (3, [2, 3], 4)
    assert tally.accuracy(0) == pytest.approx((200 / 3, *wilson(2, 3))) and Tally().accuracy(0) is None
    write_sheet(tmp_path / "sheet.csv", ["A", "B"], [f"{n}.png" for n in range(5)], trials)
    lines = (tmp_path / "sheet.csv").read_text().splitlines()
    assert lines[0].startswith(
        "image,true class,A: answer,A: verdict,A: probability,A: milliseconds,B: answer"
    )
    assert lines[1] == "0.png,'=a,'=a,right,0.5000,2.000,'=a,right,0.5000,2.000,"
    assert lines[2].split(",")[2:4] == ["'=a", "wrong"] and lines[4].split(",")[3] == ""
    assert lines[5] == "4.png,,,,,,,,,,Torn."
    with pytest.raises(EspalierError, match="could not be written"):
        write_sheet(tmp_path / "sheet.csv" / "sheet.csv", [], [], [])
