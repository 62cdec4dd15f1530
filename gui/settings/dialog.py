"""The settings: a list of pages at the left, the page at the right; every change counts at once."""

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QHBoxLayout,
    QListWidget,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from core.machine.site_policy import Policy
from gui.base.messages import Messages
from gui.base.screen import resize_within_screen
from gui.base.theme import Theme, style
from gui.base.translation import QT_TR_NOOP, tr
from gui.settings.downloads_page import DownloadsPage
from gui.settings.jobs import SettingsJobs
from gui.settings.log_row import LogRow
from gui.settings.machines_page import MachinesPage
from gui.settings.parts import SettingsPage, choice
from gui.settings.storage_page import StoragePage
from gui.settings.store import DEVICES, LEAST_WATTS, MOST_PROCESSES, MOST_THREADS, MOST_WATTS, Settings
from gui.settings.trust_page import TrustPage
from gui.widgets.buttons import text
from gui.widgets.value_boxes import DoubleSpinBox, SpinBox

_THEMES = (
    ("system", QT_TR_NOOP("As the system")),
    ("light", QT_TR_NOOP("Light")),
    ("dark", QT_TR_NOOP("Dark")),
)
_ROW = 34  # height of a page's name in the list


class SettingsDialog(QDialog):
    """Pages: General, Computing, Machines, Storage, Downloads, Trusted files."""

    def __init__(
        self,
        parent: QWidget | None,
        settings: Settings,
        theme: Theme,
        jobs: SettingsJobs,
        messages: Messages,
        policy: Policy,
    ):
        super().__init__(parent)
        style(self)
        self.setObjectName("settings")
        self.setWindowTitle(tr("Settings"))
        resize_within_screen(self, 820, 600)
        self._settings, self._theme, self._policy = settings, theme, policy
        self.storage, self.downloads = StoragePage(jobs, messages), DownloadsPage(jobs)
        self.trust, self.machines = TrustPage(messages), MachinesPage(settings, jobs)
        pages = (
            (QT_TR_NOOP("General"), self._general(jobs)),
            (QT_TR_NOOP("Computing"), self._computing()),
            (QT_TR_NOOP("Machines"), self.machines),
            (QT_TR_NOOP("Storage"), self.storage),
            (QT_TR_NOOP("Downloads"), self.downloads),
            (QT_TR_NOOP("Trusted files"), self.trust),
        )
        self.list, self.stack = QListWidget(), QStackedWidget()
        self.list.setObjectName("settings-pages")
        self.list.setAccessibleName(tr("Pages of the settings"))
        self.list.setFixedWidth(160)
        for title, page in pages:
            self.list.addItem(tr(title))
            self.list.item(self.list.count() - 1).setSizeHint(QSize(0, _ROW))
            self.stack.addWidget(page)
        close = QPushButton(tr("Close"))
        close.setObjectName("settings-close")
        close.setDefault(True)
        close.clicked.connect(self.accept)
        bottom = QHBoxLayout()
        bottom.addWidget(
            text(tr("Changes count at once; a run under way keeps what it started with."), "help"), 1
        )
        bottom.addWidget(close)
        middle = QHBoxLayout()
        middle.setSpacing(18)
        middle.addWidget(self.list)
        middle.addWidget(self.stack, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 18, 20, 16)
        layout.setSpacing(14)
        layout.addLayout(middle, 1)
        layout.addLayout(bottom)
        self.list.currentRowChanged.connect(self._go)
        self.list.setCurrentRow(0)

    def show_page(self, title: str) -> None:
        """Open a page by its title."""
        items = self.list.findItems(tr(title), Qt.MatchFlag.MatchExactly)
        if items:
            self.list.setCurrentItem(items[0])

    def _go(self, row: int) -> None:
        self.stack.setCurrentIndex(row)
        page = self.stack.currentWidget()
        if isinstance(page, MachinesPage | StoragePage | DownloadsPage | TrustPage):
            page.refresh()

    def _general(self, jobs: SettingsJobs) -> SettingsPage:
        page, settings = SettingsPage("general", tr("General")), self._settings
        self.theme = choice("theme", _THEMES, self._theme.choice)
        self.theme.currentIndexChanged.connect(lambda: self._theme.choose(self.theme.currentData()))
        page.row(
            tr("Theme"),
            self.theme,
            tr("Light and dark have the same contrast; “as the system” follows its changes."),
        )
        self.awake = _tick(
            "keep-awake", tr("Keep the computer from sleeping while a run goes on"), settings.keep_awake
        )
        self.awake.toggled.connect(lambda on: settings.set("run/keep_awake", on))
        page.row(
            tr("Sleep"),
            self.awake,
            tr("The screen may still go dark. The status bar says where it is not possible."),
        )
        self.notify = _tick("notify", tr("Notify me when a run has ended"), settings.notify)
        self.notify.toggled.connect(lambda on: settings.set("run/notify", on))
        page.row(tr("Notifications"), self.notify, tr("Only while another window is in front."))
        self.log = LogRow(settings, jobs.home.logs)
        page.row(
            tr("Log file"), self.log,
            tr("What happened, for when something goes wrong: times, paths and errors, no images and no settings. "
            "It stays on this machine."),
        )  # fmt: skip
        page.end()
        return page

    def _computing(self) -> SettingsPage:
        settings, policy = self._settings, self._policy
        page = SettingsPage("computing", tr("Computing"), _rules(policy))
        self.device = choice("device", DEVICES, settings.device)
        self.device.currentIndexChanged.connect(
            lambda: settings.set("compute/device", self.device.currentData())
        )
        page.row(tr("Device"), self.device, tr("Where networks are trained."))
        self.threads = SpinBox()
        self.threads.setObjectName("threads")
        self.threads.setRange(0, policy.threads or MOST_THREADS)
        self.threads.setSpecialValueText(tr("one per core"))
        self.threads.setValue(settings.threads)
        self.threads.setFixedWidth(150)
        self.threads.valueChanged.connect(lambda value: settings.set("compute/threads", value))
        page.row(
            tr("Training threads"), self.threads,
            tr("On a processor, the same number gives the same weights bit for bit. Latency is measured with the "
            "thread counts that its protocol names, the headline with one, whatever is chosen here."),
        )  # fmt: skip
        self.repeats = QCheckBox(tr("Repeat to the bit on a GPU"))
        self.repeats.setObjectName("deterministic")
        self.repeats.setChecked(settings.deterministic)
        self.repeats.toggled.connect(lambda on: settings.set("compute/deterministic", on))
        page.row(
            tr("Determinism"), self.repeats,
            tr("Without it a GPU takes its fastest kernels, and the same run again may differ in the last digits; the run "
            "says so. On a processor results always repeat."),
        )  # fmt: skip
        self.compiled = _tick("compile", tr("Compile training on a GPU"), settings.compiled)
        self.compiled.toggled.connect(lambda on: settings.set("compute/compiled", on))
        page.row(
            tr("torch.compile"), self.compiled,
            tr("Faster steps after a minute or so of compiling, with other last digits; the run says so."),
        )  # fmt: skip
        self.processes = SpinBox()
        self.processes.setObjectName("processes")
        self.processes.setRange(1, MOST_PROCESSES)
        self.processes.setValue(settings.processes)
        self.processes.setFixedWidth(150)
        self.processes.valueChanged.connect(lambda value: settings.set("compute/processes", value))
        page.row(
            tr("Processes for a stage"), self.processes,
            tr("Several GPUs of this machine train a stage together, one process for each; on a processor they share its threads."),
        )  # fmt: skip
        self.watts = DoubleSpinBox()
        self.watts.setObjectName("core-watts")
        self.watts.setRange(LEAST_WATTS, MOST_WATTS)
        self.watts.setDecimals(1)
        self.watts.setSuffix(" W")
        self.watts.setValue(settings.core_watts)
        self.watts.setFixedWidth(150)
        self.watts.valueChanged.connect(lambda value: settings.set("compute/core_watts", value))
        page.row(
            tr("One busy core"), self.watts,
            tr("Energy is measured where the processor counts it. Elsewhere it is estimated from this power and "
            "marked so."),
        )  # fmt: skip
        page.end()
        return page


def _rules(policy: Policy) -> str:
    rules = []
    if policy.device != "auto":
        rules.append(tr("the device is {device}", device=policy.device))
    if policy.threads:
        rules.append(tr("at most {threads} threads", threads=policy.threads))
    return tr("The administrator of this machine decided: {rules}.", rules=", ".join(rules)) if rules else ""


def _tick(name: str, words: str, on: bool) -> QCheckBox:
    box = QCheckBox(words)
    box.setObjectName(name)
    box.setAccessibleName(words)
    box.setChecked(on)
    return box
