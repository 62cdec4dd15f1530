"""Optuna asked and told: the file first, the same proposals after a kill, a journal that is damaged or gone."""

from pathlib import Path

import pytest
from search_texts import TEXT

from core.document import dimensions
from core.document import pipeline as documents
from core.document.pipeline import Pipeline
from core.records.reports import Metric
from core.search.judging import violations
from core.search.records import TrialRecord
from core.search.sampling import AS_WRITTEN, Proposal, Sampling, matching


def pipeline(sampler: str = "tpe") -> Pipeline:
    text = TEXT.replace("SAMPLER", f"sampler: {sampler}").replace("training.epochs: {low: 1, high: 3}", "training.epochs: {choices: [0, 2]}" if sampler == "grid" else "training.epochs: {low: 1, high: 3}")  # fmt: skip
    text = text.replace("kind: train-mixed", "kind: train-mixed, settings: {training: {epochs: 2}}")
    return documents.loads(text)


def result(proposal: Proposal) -> TrialRecord:
    """A made-up trade: what is cut more is smaller and worse."""
    ratio = float(proposal.values["stages.pruned.ratio"])  # type: ignore[arg-type]
    metrics = {"top1": Metric(value=90 - 20 * ratio**2), "size_mb": Metric(value=1.2 - ratio)}
    return TrialRecord(
        number=proposal.number, values=proposal.values, proposed=proposal.proposed, state="done", metrics=metrics,
        violations=violations({"size_mb": 0.9}, metrics),
    )  # fmt: skip


def made(folder: Path, document: Pipeline, count: int, records: list[TrialRecord]) -> list[TrialRecord]:
    sampling = Sampling(folder / "study.journal", document, records)
    for _ in range(count):
        record = result(sampling.ask())
        sampling.tell(record)
        records.append(record)
    return records


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
def test_a_search_that_goes_on_proposes_what_it_would_have(sampler: str, tmp_path: Path):
    document = pipeline(sampler)
    (tmp_path / "one").mkdir(), (tmp_path / "two").mkdir()
    at_once = made(tmp_path / "one", document, 14, [])
    in_parts = made(tmp_path / "two", document, 9, [])
    in_parts = made(tmp_path / "two", document, 5, in_parts)
    assert [one.values for one in at_once] == [one.values for one in in_parts]
    assert at_once[0].proposed == AS_WRITTEN and at_once[0].values["stages.pruned.ratio"] == 0.5
    assert at_once[1].proposed == sampler
    for one in at_once:
        assert dimensions.at(document, one.values).search is None
        assert ("stages.mixed.training.epochs" in one.values) == one.values["stages.mixed.enabled"]


def test_a_trial_under_way_when_the_process_was_killed_is_gone_on_with(tmp_path: Path):
    document = pipeline()
    sampling = Sampling(tmp_path / "study.journal", document, [])
    proposal = sampling.ask()
    again = Sampling(tmp_path / "study.journal", document, [])
    assert again.unfinished() == [proposal]
    record = result(proposal)  # recorded, and killed before the sampler heard of it
    assert Sampling(tmp_path / "study.journal", document, [record]).unfinished() == []


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"{}\nno json\n{}\n"), lambda path: path.write_bytes(path.read_bytes()[:-9])], ids=["gone", "damaged", "half a line"])  # fmt: skip
def test_a_journal_is_made_again_from_the_trials(damage, tmp_path: Path):
    document = pipeline()
    records = made(tmp_path, document, 6, [])
    damage(tmp_path / "study.journal")
    sampling = Sampling(tmp_path / "study.journal", document, records)
    proposal = (sampling.unfinished() or [sampling.ask()])[0]
    assert proposal.number in (6, 7) and proposal.values
    told = sampling._study.trials
    assert [one.constraints for one in told[:5]] == [record.violations for record in records[:5]]
    assert [one.params for one in told[:5]] == [record.values for record in records[:5]]
    sampling.tell(result(proposal))
    assert sampling.ask().number > proposal.number


def test_a_grid_ends_when_every_point_was_proposed(tmp_path: Path):
    document = pipeline("grid")
    sampling, seen = Sampling(tmp_path / "study.journal", document, []), []
    while not sampling.exhausted:
        proposal = sampling.ask()
        sampling.tell(result(proposal))
        seen.append(proposal.values)
    assert len(seen) == 7 * 2 * 2
    assert len({repr(values) for values in seen}) == 7 * 3, "with the stage off its epochs do not count"


def test_the_settings_that_matter_weigh_most(tmp_path: Path):
    document = pipeline("random")
    records = made(tmp_path, document, 25, [])
    weights = Sampling(tmp_path / "study.journal", document, records).weights()
    assert weights.keys() == {"top1", "size_mb"}
    for shares in weights.values():
        assert max(shares, key=lambda path: shares[path]) == "stages.pruned.ratio"
    assert matching(records[3].values, records) is not None
