"""Files beside a model that hold the names of its classes."""

import json
from pathlib import Path

import pytest
from colour_files import MEAN, SIDE, STD, colours, save
from received_files import answers, quiet

from core.data.preprocess import Preprocess
from core.deploy.received_onnx import Reading, receive
from core.onnx_graph.class_names import names_beside

NAMES = ("red", "blue", "green")
PREPARE = Preprocess(SIDE, 3, MEAN, STD)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("labels.txt", "red\nblue\ngreen\n"),
        ("m.txt", "0 red\r\n1 blue\r\n2 green"),
        ("classes.txt", "\ufeff0: Red\n1: Blue\n2: Green"),
        ("class_names.json", json.dumps(NAMES)),
        ("class_to_idx.json", json.dumps({"blue": 1, "green": 2, "red": 0})),
        (
            "config.json",
            json.dumps({"id2label": {"0": "red", "1": "blue", "2": "green"}, "model_type": "vit"}),
        ),
    ],
)
def test_the_order_is_that_of_a_file_beside(file: str, text: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text(text, encoding="utf-8")
    path, notes = received(save(colours(order=(2, 0, 1)), tmp_path / "m.onnx"))
    assert answers(path) == ["blue", "green", "red"] * 2
    assert notes[-1].startswith(f"The order of its classes is that of {file} beside it (")


def test_a_file_beside_that_names_others_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("cat\ndog\nbird", encoding="utf-8")
    _, notes = received(save(colours(), tmp_path / "m.onnx"))
    assert notes == [
        "labels.txt beside it names other classes than the data set has; the data set's order is taken."
    ]
    (tmp_path / "labels.txt").write_text("a\nb\nc\nd", encoding="utf-8")
    (tmp_path / "classes.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    assert received(tmp_path / "m.onnx")[1] == []
    assert names_beside(tmp_path / "gone.onnx") == [("labels.txt", ("a", "b", "c", "d"))]


def received(path: Path) -> tuple[Path, list[str]]:
    reading = Reading(path.name, PREPARE, beside=tuple(names_beside(path)))
    plain = json.loads(json.dumps(reading.as_plain()))
    target = path.with_name("received.onnx")
    reply = receive(
        {**plain, "source": str(path), "target": str(target), "classes": ["blue", "green", "red"]}, quiet
    )
    return Path(reply["path"]), reply["notes"]
