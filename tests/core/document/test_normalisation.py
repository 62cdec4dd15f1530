"""What the networks of a pipeline normalise their images with."""

from pathlib import Path

import pytest

from core.data.access import DataAccess
from core.data.settings import DataSettings
from core.document import edits
from core.document import pipeline as documents
from core.document.normalisation import applied_by, applied_to
from core.machine.child import Child

TEXT = """
espalier: 1
name: One
data: {source: fashion-mnist-sample}
sources: [{id: network, settings: {backbone: resnet20}}]
stages: [{id: fp32, kind: train}]
"""


def test_what_networks_normalise_with(tmp_path: Path) -> None:
    pipeline = documents.loads(TEXT)
    access = DataAccess(DataSettings(), tmp_path / "cache")
    data = access.open()
    one = applied_to(pipeline, data)[0]
    assert one.normalisation[0] == pytest.approx(data.mean * 3) and one.trained_with is None
    lite = edits.set_setting(pipeline, "network", ("backbone",), "efficientnet-lite0")
    lite = edits.set_setting(lite, "network", ("weights",), "imagenet")
    wrong = edits.set_data(lite, ("normalisation",), "imagenet")
    assert applied_to(lite, data)[0].normalisation == applied_to(lite, data)[0].trained_with
    assert applied_to(wrong, data)[0].normalisation[0] == (0.485, 0.456, 0.406)
    assert applied_to(wrong, data)[0].trained_with == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    with Child("tool") as tool:
        for asked in (pipeline, lite):
            assert applied_by(tool, asked, access) == applied_to(asked, data)
