"""Events on their way through JSON."""

import json
from dataclasses import fields

from core.records import events
from core.records.events import Event, Note, RunStarted, TrialDone, event_from


def test_an_event_comes_back_as_it_was():
    event = RunStarted("r", "/runs/r", "Tiny", ("fp32", "int8"), ("Float", "Integers"), False)
    record = json.loads(json.dumps({"number": 1, "time": 2.0, **event.as_dict()}))
    assert record["event"] == "RunStarted" and event_from(record) == event


def test_what_a_newer_version_says_is_passed_over():
    assert event_from({"event": "StageTurnedBlue", "stage": "fp32"}) is None
    assert event_from({"stage": "fp32"}) is None
    assert event_from({"event": "Note", "stage": "s", "level": "info", "text": "t", "colour": "blue"}) == Note("s", "info", "t")  # fmt: skip


def test_no_event_says_what_its_line_says():
    """A line of events.jsonl has its own number, by which watchers know what is new, time, kind and seal."""
    own = {"number", "time", "event", "seal"}
    kinds = [kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)]
    assert len(kinds) > 10
    for kind in kinds:
        assert own.isdisjoint(field.name for field in fields(kind)), kind


def test_a_trial_of_an_older_run_keeps_its_number():
    old = {"event": "TrialDone", "number": 4, "time": 2.0, "state": "done", "text": "Top-1 88"}
    assert event_from(old) == TrialDone(4, "done", "Top-1 88")
