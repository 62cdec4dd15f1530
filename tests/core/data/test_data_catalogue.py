"""The catalogue of sources, and the place each wants."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.common.errors import EspalierError
from core.data.catalogue import SOURCES, find_source, register
from core.data.guess_source import guess_source
from core.data.idx import FASHION_CLASSES
from core.data.sample import sample_folder
from core.data.settings import DataSettings
from core.data.store import open_data

ROOT = Path(__file__).parents[3]


def test_every_source_says_what_it_is_and_what_it_needs():
    assert set(SOURCES) == {
        "fashion-mnist-sample",
        "folder",
        "idx",
        "cifar",
        "tiny-imagenet",
        "csv",
        "shards",
        "parquet",
    }
    for key, source in SOURCES.items():
        assert source.id == key and source.title and source.help.endswith(".")
        assert source.path_kind in ("none", "file", "folder", "file or folder")
        assert bool(source.file_filter) == ("file" in source.path_kind)


def test_the_default_settings_name_a_source():
    assert DataSettings().source in SOURCES


def test_two_sources_with_one_id_are_refused():
    source = find_source("idx")
    with pytest.raises(ValueError, match=r"Two data sources have the id 'idx'\."):
        register([source, source])


def test_an_unknown_source_is_refused(cache):
    with pytest.raises(EspalierError) as caught:
        open_data(DataSettings(source="imagenet"), cache)
    assert str(caught.value) == (
        "Expected one of the data sets fashion-mnist-sample, folder, idx, cifar, tiny-imagenet, csv, shards, parquet, received 'imagenet'. "
        "Choose one of these as `source` in the data settings."
    )


@pytest.mark.parametrize(
    ("source", "wanted"), [("idx", "folder"), ("folder", "folder or a file"), ("csv", "file")]
)
def test_a_source_without_its_path_is_refused(source, wanted, cache):
    title = find_source(source).title
    with pytest.raises(EspalierError) as caught:
        open_data(DataSettings(source=source, path=" "), cache)
    assert str(caught.value) == (
        f"Expected the path of a {wanted} for the data set '{title}', received none. Choose where the images are."
    )


def test_sources_store_and_settings_are_usable_without_torch():
    code = (
        "import sys, core.data.store, core.data.catalogue, core.data.preprocess\n"
        "unwanted = {'torch', 'PySide6', 'gui'} & set(sys.modules)\n"
        "sys.exit(', '.join(unwanted) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_bundled_sample(sample_data):
    assert sample_data.classes == FASHION_CLASSES
    assert sample_data.images.shape == (24_000, 28, 28, 1)
    for split, count in {"train": 1200, "validation": 200, "test": 1000}.items():
        assert sample_data.class_counts(split) == dict.fromkeys(FASHION_CLASSES, count)
    assert sample_data.notes == () and sample_data.problems == ()
    # Published for the 60 000 training images: 0.2860 and 0.3530.
    assert sample_data.mean[0] == pytest.approx(0.2860, abs=0.002)
    assert sample_data.std[0] == pytest.approx(0.3530, abs=0.002)


def test_no_image_of_the_sample_is_in_two_splits(sample_data):
    seen = [{sample_data.images[row].tobytes() for row in rows} for rows in sample_data.splits.values()]
    assert len(seen[0] & seen[1]) == 0


def test_the_sample_comes_with_its_licence_and_is_small():
    assert "Copyright © [2017] Zalando SE, https://tech.zalando.com" in (
        sample_folder() / "LICENSE.txt"
    ).read_text("utf-8")
    assert sum(file.stat().st_size for file in sample_folder().iterdir()) < 12e6


def test_a_missing_or_damaged_sample_is_said(tmp_path, cache, monkeypatch):
    monkeypatch.setattr("core.data.sample.sample_folder", lambda: tmp_path)
    with pytest.raises(
        EspalierError, match=r"Expected the bundled data set at .*, received nothing. Install Espalier"
    ):
        open_data(DataSettings(), cache)
    (tmp_path / "fashion-mnist-sample.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(EspalierError, match=r"Expected the bundled data set in .*, but it is damaged: "):
        open_data(DataSettings(), cache)


def test_the_script_draws_a_stratified_sample_without_overlap(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "packaging"))
    import make_sample  # type: ignore[import-not-found]

    labels = np.repeat(np.arange(10), 20).astype(np.uint8)
    images = np.arange(200, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    monkeypatch.setattr(make_sample, "find_pair", lambda folder, part: (images, labels))
    monkeypatch.setattr(make_sample, "TRAIN_PER_CLASS", 7)
    monkeypatch.setattr(make_sample, "VALIDATION_PER_CLASS", 2)
    with np.load(make_sample.make_sample(tmp_path, tmp_path / "out"), allow_pickle=False) as made:
        assert np.bincount(made["train_labels"]).tolist() == [7] * 10
        assert np.bincount(made["validation_labels"]).tolist() == [2] * 10
        assert len(made["test_labels"]) == 200
        assert not set(made["train_images"][:, 0, 0]) & set(made["validation_images"][:, 0, 0])
        assert np.array_equal(labels[made["train_images"][:, 0, 0]], made["train_labels"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("source", [id for id, source in SOURCES.items() if source.path_kind != "none"])
@pytest.mark.parametrize("name", ["pipe", "pipe.zip", "pipe.csv", "pipe.tar.gz", "/dev/zero", "n" * 300])
def test_no_source_waits_for_a_pipe_or_reads_a_device(source, name, tmp_path):
    path = tmp_path / name
    if name.startswith("pipe"):
        os.mkfifo(path)
    with pytest.raises(EspalierError):
        open_data(DataSettings(source=source, path=str(path)), tmp_path / "cache")
    if name != "n" * 300:
        with pytest.raises(EspalierError, match="is a pipe or a device"):
            guess_source(path)
