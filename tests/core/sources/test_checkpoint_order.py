"""A checkpoint or weights file whose classes are in another order than the data set's is matched by name."""

from pathlib import Path

import pytest
import torch
from small_stages import NETWORK, SETTINGS, small_network
from torch import nn

from core.common.errors import EspalierError
from core.data.image_data import ImageData
from core.data.preprocess import make_preprocess
from core.models.checkpoint import Checkpoint, save_checkpoint
from core.models.class_order import reorder_classes
from core.sources.backbone import BackboneSource
from core.sources.base import OpenContext
from core.sources.checkpoint import CheckpointSettings, CheckpointSource


def saved(folder: Path, data: ImageData, classes: tuple[str, ...]) -> nn.Module:
    model = small_network()
    save_checkpoint(folder, Checkpoint(model, NETWORK, make_preprocess(SETTINGS, data), classes))
    return model


@pytest.mark.parametrize("spelled", [str, str.upper])
def test_answers_are_matched_by_name(data, tmp_path, spelled):
    classes = tuple(spelled(name) for name in reversed(data.classes))
    model = saved(tmp_path / "ck", data, classes)
    opened = CheckpointSource().open(CheckpointSettings(path="ck"), OpenContext(tmp_path, data, SETTINGS, 1))
    images = torch.rand(2, 3, 16, 16)
    assert torch.allclose(opened.model(images), model(images).flip(1), atol=1e-5)
    assert len(opened.notes) == 1 and "matched by name" in opened.notes[0]


@pytest.mark.parametrize(
    "about",
    [
        lambda names: {"class_to_idx": {name: place for place, name in enumerate(names)}},
        lambda names: {"classes": list(names)},
        lambda names: {"hyper_parameters": {"class_names": [name.lower() for name in names]}},
    ],
)
def test_a_weights_file_that_names_its_classes_is_matched_by_name(data, tmp_path, about):
    model = small_network()
    torch.save({"state_dict": model.state_dict(), **about(data.classes[::-1])}, tmp_path / "w.pth")
    settings = NETWORK.model_copy(update={"weights": "file", "weights_file": "w.pth"})
    opened = BackboneSource().open(settings, OpenContext(tmp_path, data, SETTINGS, 1))
    images = torch.rand(2, 3, 16, 16)
    assert torch.allclose(opened.model(images), model(images).flip(1), atol=1e-5)
    assert any("matched by name" in note for note in opened.notes)


def test_names_in_a_weights_file_that_fit_nothing_are_mentioned(data, tmp_path):
    model = small_network()
    for names, words in (
        (["x", *data.classes[1:]], "names other classes (x, "),
        (list(range(10)), ""),
        (["x"], ""),
    ):
        torch.save({"state_dict": model.state_dict(), "classes": names}, tmp_path / "w.pth")
        settings = NETWORK.model_copy(update={"weights": "file", "weights_file": "w.pth"})
        opened = BackboneSource().open(settings, OpenContext(tmp_path, data, SETTINGS, 1))
        assert [words in note for note in opened.notes if "names other" in note] == ([True] if words else [])


def test_other_classes_are_refused(data, tmp_path):
    saved(tmp_path / "ck", data, (*data.classes[:-1], "something else"))
    with pytest.raises(EspalierError, match="was made for other classes"):
        CheckpointSource().open(CheckpointSettings(path="ck"), OpenContext(tmp_path, data, SETTINGS, 1))


def test_a_network_whose_last_layer_is_not_its_answer_is_refused():
    model = small_network()
    model.head = nn.Sequential(model.head, nn.Softmax(1), nn.Linear(10, 10), nn.Softmax(1))
    reorder_classes(model, list(reversed(range(10))), 16)  # softmax treats all answers alike
    model.head = nn.Sequential(model.head, nn.BatchNorm1d(10, affine=True))
    model.head[1].weight.data.uniform_(0.5, 1.5)
    with pytest.raises(EspalierError, match="Set Class order in the data settings"):
        reorder_classes(model, list(reversed(range(10))), 16)
