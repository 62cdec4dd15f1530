"""What opens beside the main window: settings, help, the check of the installation, versions."""

from collections.abc import Callable

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QMainWindow

from core.common.errors import EspalierError
from core.machine.site_policy import Policy, site_policy
from core.runs.home import Home
from gui.base.messages import Messages
from gui.base.theme import Theme
from gui.base.worker import Worker
from gui.help import guide
from gui.help.window import HelpWindow
from gui.settings.dialog import SettingsDialog
from gui.settings.jobs import SettingsJobs
from gui.settings.store import Settings
from gui.shell.about import AboutDialog


class Dialogs(QObject):
    """Makes them when they are first wanted; their workers outlive them.

    Args:
        place: the place a person is in; the guide opens there.
    """

    def __init__(
        self, window: QMainWindow, home: Home, theme: Theme, messages: Messages, place: Callable[[], str]
    ):
        super().__init__(window)
        self._window, self._theme, self._messages, self._place = window, theme, messages, place
        self.settings = Settings(self)
        self.jobs = SettingsJobs(home, messages, self)
        self.doctor = Worker(self)
        self._help: HelpWindow | None = None

    def show_settings(self, page: str = "General") -> SettingsDialog:
        """The settings, at a page."""
        try:
            policy = site_policy()
        except EspalierError as error:
            self._messages.error(error)
            policy = Policy()
        dialog = SettingsDialog(self._window, self.settings, self._theme, self.jobs, self._messages, policy)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.show_page(page)
        dialog.open()
        return dialog

    def show_guide(self) -> HelpWindow:
        """The user guide, where the place that one is in is described."""
        window = self._help_window()
        window.open_place(self._place())
        return window

    def show_reference(self) -> HelpWindow:
        """The reference of everything that a pipeline can say."""
        window = self._help_window()
        window.open(guide.REFERENCE)
        return window

    def check_installation(self) -> QObject:
        """Look at libraries, devices, storage and display."""
        from gui.help.doctor import DoctorDialog

        dialog = DoctorDialog(self._window, self.doctor)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()
        return dialog

    def show_about(self) -> AboutDialog:
        """Name, purpose, versions."""
        dialog = AboutDialog(self._window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()
        return dialog

    def retheme(self) -> None:
        if self._help is not None:
            self._help.retheme()

    def close(self) -> None:
        """Close the help window with the main window."""
        if self._help is not None:
            self._help.close()

    def _help_window(self) -> HelpWindow:
        if self._help is None:
            self._help = HelpWindow(self._window)
        self._help.show()
        self._help.raise_()
        self._help.activateWindow()
        return self._help
