"""Free values as a line of text, and setting things free and bound again."""

import pytest

from core.common.declarations import declarations
from core.document import edits, stage_tree
from core.document import pipeline as documents
from core.document.free_text import as_text, first_range, from_text
from core.document.search import Free
from core.stages.catalogue import STAGES

FIELDS = {field.name: field for field in declarations(STAGES["prune-channels"].Settings)}
DOCUMENT = documents.loads("""
espalier: 1
name: Small
sources: [{id: net, settings: {backbone: resnet20}}]
stages:
  - {id: fp32, kind: train}
  - {id: pruned, kind: prune-channels, settings: {ratio: 0.5}}
""")


@pytest.mark.parametrize(
    ("text", "name", "free"),
    [
        ("0.2 to 0.8 by 0.05", "ratio", Free(low=0.2, high=0.8, step=0.05)),
        ("1e-5 to 0.01 log", "ratio", Free(low=1e-5, high=0.01, log=True)),
        ("1 to 8", "round_to", Free(low=1, high=8)),
        ("1, 4, 8", "round_to", Free(choices=(1, 4, 8))),
        ("l1, taylor", "importance", Free(choices=("l1", "taylor"))),
        ("", "importance", Free()),
    ],
)
def test_a_line_is_read_and_written(text: str, name: str, free: Free):
    assert from_text(text, FIELDS[name]) == free
    assert from_text(as_text(free), FIELDS[name]) == free


def test_what_is_no_range_is_refused():
    with pytest.raises(ValueError, match="expected a range such as"):
        from_text("much", FIELDS["ratio"])
    with pytest.raises(ValueError, match="low end of the range"):
        from_text("0.8 to 0.2", FIELDS["ratio"])


def test_every_setting_that_is_set_free_gives_a_valid_document():
    node = DOCUMENT.stage("pruned")
    for field in FIELDS.values():
        if field.kind in ("int", "float", "choice", "bool"):
            free = first_range(node, field, node.settings)
            changed = edits.set_free(DOCUMENT, f"stages.pruned.{field.name}", free)
            assert documents.check(changed) == [], field.name
            assert edits.set_free(changed, f"stages.pruned.{field.name}", None) == DOCUMENT


def test_what_is_free_goes_with_its_stage():
    freed = edits.set_free(DOCUMENT, "stages.pruned.ratio", Free(low=0.1, high=0.5))
    assert freed.search is not None and stage_tree.remove_stage(freed, "pruned").search is None
    both = edits.set_free(freed, "stages.fp32.training.epochs", Free(low=1, high=5))
    left = stage_tree.remove_stage(both, "pruned").search
    assert left is not None and list(left.free) == ["stages.fp32.training.epochs"]
