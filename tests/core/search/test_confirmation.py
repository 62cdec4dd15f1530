"""The pipeline that confirms finalists: each thing once, an ordinary document."""

from search_texts import TEXT

from core.document import pipeline as documents
from core.search.confirmation import confirmation, final_stages
from core.search.records import TrialRecord

DOCUMENT = documents.loads(
    TEXT.replace("SAMPLER", "seeds: [1, 2]").replace(
        "search:", "  - {id: taught, kind: distil, settings: {teacher: fp32}}\nbaseline: fp32\nsearch:", 1
    )
)


def record(number: int, ratio: float, mixed: bool = True) -> TrialRecord:
    values = {"stages.pruned.ratio": ratio, "stages.mixed.enabled": mixed, **({"stages.mixed.training.epochs": 2} if mixed else {})}  # fmt: skip
    return TrialRecord(number=number, values=values, proposed="tpe", state="done")


def test_what_finalists_share_stands_there_once():
    confirmed = confirmation(DOCUMENT, [record(3, 0.3), record(4, 0.7), record(5, 0.7, mixed=False)])
    assert documents.check(confirmed) == [] and confirmed.search is None
    assert confirmed.axes.seed == (1, 2) and confirmed.baselines == ("fp32",)
    assert confirmed.stage_ids == (
        "fp32", "mixed", "pruned", "taught", "mixed-t3", "pruned-t3", "taught-t3", "pruned-t4", "taught-t4", "pruned-t5",
        "taught-t5",
    )  # fmt: skip
    assert confirmed.final_id == "taught-t5"
    assert [confirmed.parent(confirmed.stage(id)) for id in ("pruned-t4", "pruned-t5", "taught-t5")] == [
        "mixed-t3", "fp32", "pruned-t5",
    ]  # fmt: skip
    assert confirmed.stage("taught-t5").settings["teacher"] == "fp32"


def test_a_finalist_that_is_the_file_itself_adds_nothing():
    written = {"stages.pruned.ratio": 0.5, "stages.mixed.enabled": True}
    same = TrialRecord(number=1, values=written, proposed="as written", state="done")
    assert confirmation(DOCUMENT, [same]).stage_ids == DOCUMENT.stage_ids
    assert final_stages(DOCUMENT, [same, record(4, 0.7)]) == {1: "taught", 4: "taught-t4"}
