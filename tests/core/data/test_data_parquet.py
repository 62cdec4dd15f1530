"""Parquet files as Hugging Face data sets have them: classes, splits, and what is left out."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pyarrow.parquet
import pytest
from PIL import Image

from core.common.errors import EspalierError
from core.data import parquet
from core.data.guess_source import guess_source
from core.data.settings import DataSettings
from core.data.store import open_data

NAMES = ["zebra", "ant", "owl"]


def picture(value: int) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(content, "PNG")
    return content.getvalue()


def write(path: Path, labels: list[int | None], first: int = 0, broken: int = -1) -> None:
    rows = [{"bytes": picture(first + place), "path": f"{place}.png"} for place in range(len(labels))]
    if broken >= 0:
        rows[broken] = {"bytes": b"no image", "path": ""}
    about = {
        "info": {"features": {"image": {"_type": "Image"}, "label": {"names": NAMES, "_type": "ClassLabel"}}}
    }
    table = arrow.table({"image": rows, "label": arrow.array(labels, arrow.int64())})
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(
        table.replace_schema_metadata({"huggingface": json.dumps(about)}), path, row_group_size=5
    )


def test_files_of_named_splits_with_classes_in_the_order_of_the_schema(tmp_path):
    place = tmp_path / "set" / "data"
    write(place / "train-00000-of-00002.parquet", [0, 1, 2] * 6, 0, broken=4)
    write(place / "train-00001-of-00002.parquet", [2, 1, 0] * 6, 18)
    write(place / "validation-00000-of-00001.parquet", [0, 1, 2] * 2, 36)
    write(place / "test-00000-of-00001.parquet", [0, 1, 2, None, -1, 7], 42)
    assert guess_source(tmp_path / "set") == ("parquet", tmp_path / "set")
    data = open_data(DataSettings(source="parquet", path=str(tmp_path / "set")), tmp_path / "cache")
    assert data.classes == tuple(NAMES)
    assert [len(data.split(name)) for name in ("train", "validation", "test")] == [35, 6, 3]
    for row in data.split("test"):
        assert int(data.images[row][0, 0, 0]) - 42 == data.labels[row]
    assert len(data.problems) == 4 and any("00000004" in path for path, _ in data.problems)


def test_splits_behind_the_name_of_the_set(tmp_path):
    write(tmp_path / "set" / "cifar10-train.parquet", [0, 1, 2] * 6)
    write(tmp_path / "set" / "cifar10-test-00000-of-00001-9f86d081.parquet", [0, 1, 2] * 2, 18)
    data = open_data(DataSettings(source="parquet", path=str(tmp_path / "set")), tmp_path / "cache")
    assert sorted(int(data.images[row][0, 0, 0]) for row in data.split("test")) == list(range(18, 24))


def test_what_is_no_such_file_is_said(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(EspalierError, match="none that can be used"):
        open_data(DataSettings(source="parquet", path=str(tmp_path / "a.parquet")), tmp_path / "cache")
    pyarrow.parquet.write_table(arrow.table({"text": ["a"], "label": [1]}), tmp_path / "b.parquet")
    with pytest.raises(EspalierError) as caught:
        open_data(DataSettings(source="parquet", path=str(tmp_path / "b.parquet")), tmp_path / "cache")
    assert "no column of images" in caught.value.details


def test_without_pyarrow_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "reason_absent", lambda *_: "Reading Parquet files is not installed.")
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(EspalierError, match="not installed"):
        open_data(DataSettings(source="parquet", path=str(tmp_path / "a.parquet")), tmp_path / "cache")
