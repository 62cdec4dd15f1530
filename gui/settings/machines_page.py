"""The machines that make stages: this one, and the workers of schedulers that a person names; where runs are made."""

from collections import Counter
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QTreeWidget, QTreeWidgetItem

from core.common.durations import duration
from core.machine.fingerprint import fingerprint
from gui.base.translation import tr
from gui.settings.jobs import SettingsJobs
from gui.settings.parts import SettingsPage
from gui.settings.store import Settings
from gui.widgets.buttons import text
from gui.widgets.combo import Combo

_ADDRESS = Qt.ItemDataRole.UserRole
_SHOWN = 3  # of what a machine has done last


class MachinesPage(SettingsPage):
    """A tree: this machine, then each scheduler with its workers; below it what adds and removes schedulers."""

    def __init__(self, settings: Settings, jobs: SettingsJobs):
        super().__init__(
            "machines", tr("Machines"),
            tr("Workers on other machines can make the stages of a run; this machine measures all files. Whoever looks after "
            "them starts a scheduler and workers, as “Several machines” in the documentation says."),
        )  # fmt: skip
        self._settings, self._jobs = settings, jobs
        self._found: dict[str, dict[str, Any]] = {}
        self.where = Combo("machines-where")
        self.row(tr("Make stages on"), self.where, tr("For runs that are started from now on."))
        self.tree = QTreeWidget()
        self.tree.setObjectName("machines")
        self.tree.setAccessibleName(tr("Machines"))
        self.tree.setHeaderLabels([tr("Machine"), tr("Does"), tr("Has done")])
        self.tree.setMinimumHeight(230)
        self.tree.setWordWrap(True)
        self.tree.setUniformRowHeights(False)
        self.column.addWidget(self.tree, 1)
        self.column.addLayout(self._buttons())
        self.column.addWidget(text(tr("Add a scheduler"), "section"))
        self.column.addLayout(self._fields())
        self.wrong = text("", "error", wrap=True)
        self.wrong.setObjectName("machines-wrong")
        self.column.addWidget(self.wrong)
        self.tree.itemSelectionChanged.connect(self._enable)
        self.where.activated.connect(lambda: settings.set("machines/where", self.where.currentData()))
        jobs.machines_found.connect(self._show)
        jobs.changed.connect(self._enable)
        self._fill()

    def refresh(self) -> None:
        """Ask the schedulers."""
        self._fill()
        if self._settings.clusters:
            self._jobs.look_at_machines(self._settings.clusters)

    def _buttons(self) -> QHBoxLayout:
        self.again, self.remove = QPushButton(tr("Look again")), QPushButton(tr("Remove this scheduler"))
        self.again.setObjectName("machines-again")
        self.again.clicked.connect(self.refresh)
        self.remove.setObjectName("machines-remove")
        self.remove.clicked.connect(self._remove)
        row = QHBoxLayout()
        row.addWidget(self.again)
        row.addWidget(self.remove)
        row.addStretch(1)
        return row

    def _fields(self) -> QHBoxLayout:
        self.address, self.tls = QLineEdit(), QLineEdit()
        self.address.setObjectName("machines-address")
        self.address.setAccessibleName(tr("Address of the scheduler"))
        self.address.setPlaceholderText(tr("tls://HOST:8786"))
        self.tls.setObjectName("machines-tls")
        self.tls.setAccessibleName(tr("Folder of its certificates"))
        self.tls.setPlaceholderText(tr("Folder of its certificates"))
        choose, self.add = QPushButton(tr("Choose…")), QPushButton(tr("Add"))
        choose.setObjectName("machines-choose")
        choose.clicked.connect(self._choose)
        self.add.setObjectName("machines-add")
        self.add.clicked.connect(self._add)
        self.address.textChanged.connect(self._enable)
        self.address.returnPressed.connect(self._add)
        row = QHBoxLayout()
        row.addWidget(self.address, 1)
        row.addWidget(self.tls, 1)
        row.addWidget(choose)
        row.addWidget(self.add)
        return row

    def _fill(self) -> None:
        """The tree and the box as far as it is known."""
        self.tree.clear()
        here = QTreeWidgetItem([tr("This machine")])
        here.addChild(QTreeWidgetItem([" · ".join(_machine(fingerprint()))]))
        self.tree.addTopLevelItem(here)
        here.child(0).setFirstColumnSpanned(True)
        self.where.clear()
        self.where.addItem(tr("This machine"), "")
        for cluster in self._settings.clusters:
            address = cluster["address"]
            self.where.addItem(address, address)
            self._add_scheduler(address, self._found.get(address))
        self.where.setCurrentIndex(max(0, self.where.findData(self._settings.where)))
        self.tree.expandAll()
        self.tree.setColumnWidth(0, 190)
        self.tree.setColumnWidth(1, 110)
        self._enable()

    def _add_scheduler(self, address: str, found: dict[str, Any] | None) -> None:
        item = QTreeWidgetItem([address])
        item.setData(0, _ADDRESS, address)
        self.tree.addTopLevelItem(item)
        item.setFirstColumnSpanned(True)
        if found is None:
            item.addChild(QTreeWidgetItem([tr("Asking …")]))
        elif found["error"]:
            item.addChild(QTreeWidgetItem([found["error"]]))
        elif not found["workers"]:
            item.addChild(QTreeWidgetItem([tr("The scheduler answers; no worker is connected.")]))
        for worker in found["workers"] if found else ():
            what = "\n".join([worker["name"], *_machine(worker["machine"])])
            row = QTreeWidgetItem([what, _now(worker), _done(worker)])
            for column in range(3):
                row.setTextAlignment(column, Qt.AlignmentFlag.AlignTop)
            row.setToolTip(2, "\n".join(_line(one) for one in reversed(worker["done"])))
            item.addChild(row)
        for number in range(item.childCount()):
            item.child(number).setData(0, _ADDRESS, address)
            if found is None or not found["workers"]:
                item.child(number).setFirstColumnSpanned(True)

    def _show(self, clusters: list[dict[str, Any]]) -> None:
        self._found = {one["address"]: one for one in clusters}
        self._fill()

    def _enable(self) -> None:
        chosen = self.tree.currentItem()
        self.remove.setEnabled(bool(chosen is not None and chosen.isSelected() and chosen.data(0, _ADDRESS)))
        self.again.setEnabled(bool(self._settings.clusters) and not self._jobs.machines.running)
        self.add.setEnabled(bool(self.address.text().strip()))

    def _choose(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, tr("Folder of its certificates"), self.tls.text())
        if folder:
            self.tls.setText(folder)

    def _add(self) -> None:
        self.wrong.setText(self._settings.add_cluster(self.address.text().strip(), self.tls.text().strip()))
        if not self.wrong.text():
            self.address.clear()
            self.tls.clear()
            self.refresh()

    def _remove(self) -> None:
        chosen = self.tree.currentItem()
        if chosen is not None:
            self._settings.remove_cluster(str(chosen.data(0, _ADDRESS)))
            self.refresh()


def _machine(about: dict[str, Any]) -> list[str]:
    """What a machine is: its processor, cores and memory, GPUs."""
    gpus = Counter(about.get("gpu") or [])
    size = tr("{count} cores", count=about.get("physical_cores", "?"))
    parts = [
        str(about.get("processor", "")), f"{size}, {about.get('memory_bytes', 0) / 1e9:.0f} GB",
        ", ".join(name if count == 1 else f"{count} × {name}" for name, count in gpus.items()),
    ]  # fmt: skip
    return [part for part in parts if part]


def _now(worker: dict[str, Any]) -> str:
    now = worker["now"]
    return f"{now['title']}\n{now['text']}".strip() if now else tr("nothing")


def _done(worker: dict[str, Any]) -> str:
    """How many stages, and the last of them."""
    if not worker["count"]:
        return tr("nothing yet")
    last = [_line(one) for one in reversed(worker["done"][-_SHOWN:])]
    return "\n".join([tr("{count} stages", count=worker["count"]), *last])


def _line(stage: dict[str, Any]) -> str:
    ending = tr("failed") if stage["failed"] else duration(stage["seconds"])
    return f"{stage['title']}: {ending}"
