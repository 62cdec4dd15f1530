"""Events on their way through JSON."""

import json

from core.records.events import Note, RunStarted, event_from


def test_an_event_comes_back_as_it_was():
    event = RunStarted("r", "/runs/r", "Tiny", ("fp32", "int8"), ("Float", "Integers"), False)
    record = json.loads(json.dumps({"number": 1, "time": 2.0, **event.as_dict()}))
    assert record["event"] == "RunStarted" and event_from(record) == event


def test_what_a_newer_version_says_is_passed_over():
    assert event_from({"event": "StageTurnedBlue", "stage": "fp32"}) is None
    assert event_from({"stage": "fp32"}) is None
    assert event_from({"event": "Note", "stage": "s", "level": "info", "text": "t", "colour": "blue"}) == Note("s", "info", "t")  # fmt: skip
