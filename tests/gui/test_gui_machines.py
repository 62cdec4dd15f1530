"""The machines in the settings: what each is, does and has done; schedulers added and removed; runs that workers make."""

import json
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QSettings, Qt
from PySide6.QtWidgets import QTreeWidgetItem

from core.document import pipeline as documents
from core.machine.fingerprint import fingerprint
from gui.settings.dialog import SettingsDialog
from gui.settings.store import Settings
from gui.shell.main_window import MainWindow

HERE = "tcp://127.0.0.1:8786"
WORKER = {
    "name": "left", "count": 5, "now": {"title": "Base", "since": 0.0, "text": "epoch 3 of 10"},
    "machine": {"processor": "Grace", "physical_cores": 72, "memory_bytes": 480e9, "gpu": ["H200", "H200"]},
    "done": [
        {"title": f"Cut {number}", "seconds": 60.0 * number, "failed": "too wide" if number == 4 else ""} for number in range(1, 6)
    ],
}  # fmt: skip


@pytest.fixture
def asked(window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> list[list[dict[str, str]]]:
    """What schedulers would have been asked; nobody answers."""
    made: list[list[dict[str, str]]] = []
    monkeypatch.setattr(window.dialogs.jobs, "look_at_machines", made.append)
    return made


@pytest.fixture
def dialog(window: MainWindow, asked: Any, qtbot: Any) -> SettingsDialog:
    made = window.dialogs.show_settings("Machines")
    qtbot.waitExposed(made)
    return made


def lines(item: QTreeWidgetItem) -> list[list[str]]:
    return [[item.child(row).text(column) for column in range(3)] for row in range(item.childCount())]


def add(qtbot: Any, dialog: SettingsDialog, address: str, tls: str = "") -> None:
    dialog.machines.address.setText(address)
    dialog.machines.tls.setText(tls)
    qtbot.mouseClick(dialog.machines.add, Qt.MouseButton.LeftButton)


def test_this_machine_stands_there_without_a_cluster(dialog: SettingsDialog, asked: Any) -> None:
    tree = dialog.machines.tree
    assert tree.topLevelItemCount() == 1 and tree.topLevelItem(0).text(0) == "This machine"
    assert fingerprint()["processor"] in lines(tree.topLevelItem(0))[0][0]
    assert asked == [] and not dialog.machines.remove.isEnabled() and not dialog.machines.add.isEnabled()


def test_a_scheduler_is_added_asked_and_removed(
    qtbot: Any, window: MainWindow, dialog: SettingsDialog, asked: list[Any]
) -> None:
    page = dialog.machines
    add(qtbot, dialog, "127.0.0.1:8786")
    assert Settings().clusters == [{"address": HERE, "tls": ""}] and asked == [Settings().clusters]
    assert page.address.text() == "" and lines(page.tree.topLevelItem(1))[0][0] == "Asking …"
    window.dialogs.jobs.machines_found.emit([{"address": HERE, "error": "", "workers": [WORKER]}])
    ((name, now, done),) = lines(page.tree.topLevelItem(1))
    assert name == "left\nGrace\n72 cores, 480 GB\n2 × H200" and now == "Base\nepoch 3 of 10"
    assert done == "5 stages\nCut 5: 5 min 00 s\nCut 4: failed\nCut 3: 3 min 00 s"
    page.tree.setCurrentItem(page.tree.topLevelItem(1).child(0))
    qtbot.mouseClick(page.remove, Qt.MouseButton.LeftButton)
    assert Settings().clusters == [] and page.tree.topLevelItemCount() == 1


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"error": "No scheduler answers there.", "workers": []}, "No scheduler answers there."),
        ({"error": "", "workers": []}, "The scheduler answers; no worker is connected."),
        ({"error": "", "workers": [{**WORKER, "now": {}, "count": 0, "done": []}]}, "nothing yet"),
    ],
)
def test_what_is_not_there_is_said(
    qtbot: Any, window: MainWindow, dialog: SettingsDialog, answer: dict[str, Any], says: str
) -> None:
    add(qtbot, dialog, HERE)
    window.dialogs.jobs.machines_found.emit([{"address": HERE, **answer}])
    assert any(says in text for line in lines(dialog.machines.tree.topLevelItem(1)) for text in line)


def test_another_machine_needs_certificates(qtbot: Any, dialog: SettingsDialog) -> None:
    add(qtbot, dialog, "lab.example:8786")
    assert "needs TLS" in dialog.machines.wrong.text() and Settings().clusters == []
    add(qtbot, dialog, "lab.example:8786", "/certificates")
    assert dialog.machines.wrong.text() == ""
    assert Settings().clusters == [{"address": "tls://lab.example:8786", "tls": "/certificates"}]


def test_runs_are_made_where_was_chosen(qtbot: Any, window: MainWindow, dialog: SettingsDialog) -> None:
    add(qtbot, dialog, HERE)
    assert window.session.cluster() is None
    where = dialog.machines.where
    where.setCurrentIndex(where.findData(HERE))
    where.activated.emit(where.currentIndex())
    assert window.session.cluster() == {"address": HERE, "tls": ""}
    Settings().remove_cluster(HERE)
    assert window.session.cluster() is None  # one that was removed is no place for a run


def test_a_run_is_started_by_the_cluster(
    qtbot: Any, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[Any, ...]] = []

    class Follower:
        def follow(self, control: Any, say: Any) -> Any:
            return type("Done", (), {"status": "completed"})()

    def start(run: Any, home: Any, options: Any, cluster: Any, **more: Any) -> Follower:
        started.append((cluster.address, cluster.tls, more["stay"]))
        return Follower()

    monkeypatch.setattr("core.cluster.run_process.start_run_by_cluster", start)
    window.session.cluster = lambda: {"address": HERE, "tls": ""}
    text = "espalier: 1\nname: Tiny\ndata: {source: fashion-mnist-sample}\nsources: [{id: n, settings: {backbone: resnet20}}]\n"
    window.session.start(documents.loads(f"{text}stages: [{{id: a, kind: train}}]\n"), tmp_path)
    qtbot.waitUntil(lambda: not window.session.worker.running)
    assert started == [(HERE, None, True)]


def test_settings_that_make_no_sense_are_none(qapp: Any) -> None:
    for stored in ("no json", json.dumps([1]), json.dumps({"address": HERE})):
        QSettings().setValue("machines/clusters", stored)
        assert Settings().clusters == [] and Settings().cluster is None
