"""The reference is complete, and the copy in docs/ is the one that the program prints."""

import inspect
import sys
from pathlib import Path

import pytest

from core.data.catalogue import SOURCES
from core.document.reference import reference
from core.models.catalogue import BACKBONES
from core.records.metrics import METRICS
from core.stages.catalogue import STAGES

DOCS = Path(__file__).parents[3] / "docs"


def test_the_copy_in_docs_is_up_to_date():
    assert (DOCS / "reference.md").read_text(encoding="utf-8") == reference(), (
        "run: python3 dev.py cli reference > docs/reference.md"
    )


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "as-given"])  # that does nothing
def test_every_method_says_what_it_does_badly(stage):
    module = sys.modules[type(STAGES[stage]).__module__]
    assert "What it does badly:" in (inspect.getdoc(module) or "")


def test_everything_that_is_declared_is_there():
    text = reference()
    for stage in STAGES.values():
        assert f"#### `{stage.id}` · {stage.title}" in text
        for name, field in stage.Settings.model_fields.items():
            assert f"`{name}" in text and (field.title or "") in text
    for name in (*BACKBONES, *SOURCES, *METRICS):
        assert f"`{name}`" in text
