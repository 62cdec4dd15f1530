"""What a worker says of itself to who looks at the machines; a scheduler that is not there is said."""

import socket

import pytest

from core.cluster.machines import look_at_machines
from core.cluster.work_record import WorkRecord
from core.machine.fingerprint import fingerprint
from core.machine.jobs import JobContext
from core.records.events import EpochDone, PhaseStarted


def test_what_it_does_and_has_done():
    record = WorkRecord()
    assert record.as_plain() == {"machine": fingerprint(), "now": {}, "done": [], "count": 0}
    record.hear("Base", {"state": "started"})
    record.hear("Base", {"event": PhaseStarted("s0", "train", "Training").as_dict()})
    assert record.as_plain()["now"]["title"] == "Base" and record.as_plain()["now"]["text"] == "Training"
    record.hear("Base", {"event": EpochDone("s0", 2, 5, 20, {}, True).as_dict()})
    assert record.as_plain()["now"]["text"] == "epoch 2 of 5"
    record.hear("Base", {"state": "done"})
    record.hear("Cut", {"state": "started"})
    record.hear("Cut", {"failed": "It is too wide."})
    told = record.as_plain()
    assert told["now"] == {} and told["count"] == 2
    assert [(one["title"], one["failed"]) for one in told["done"]] == [
        ("Base", ""),
        ("Cut", "It is too wide."),
    ]
    for number in range(60):
        record.hear(f"Stage {number}", {"state": "started"})
        record.hear(f"Stage {number}", {"state": "done"})
    assert record.as_plain()["count"] == 62 and len(record.as_plain()["done"]) == 50


def test_a_scheduler_that_is_not_there_is_said(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("core.cluster.machines._SECONDS", 1)
    with socket.socket() as taken:  # nobody listens there
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        asked = [{"address": address, "tls": ""}, {"address": "tcp://lab.example:8786", "tls": ""}]
        first, second = look_at_machines({"clusters": asked}, JobContext())["clusters"]
    assert "No scheduler answers there" in first["error"] and "needs TLS" in second["error"]
    assert first["workers"] == second["workers"] == []
