"""The settings file that the window of the version before wrote is read as it was meant."""

import pytest
from home_before import Before
from PySide6.QtCore import QSettings
from PySide6.QtWidgets import QApplication
from window_fixtures import fresh_folders, qapp  # noqa: F401

from gui.settings.store import Settings


@pytest.fixture
def stored(before: Before, qapp: QApplication, fresh_folders: None) -> None:  # noqa: F811
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(before.settings))


@pytest.mark.usefixtures("stored")
def test_every_setting_is_what_it_was() -> None:
    settings = Settings()
    assert (settings.device, settings.threads, settings.core_watts) == ("cpu", 1, 7.5)
    assert settings.keep_awake and not settings.notify
    assert settings.options() == {"device": "cpu", "threads": 1, "core_watts": 7.5}
    for name, value in (
        ("monitor/axis", "epoch"),
        ("monitor/smoothing", "30"),
        ("check-before-run", "false"),
    ):
        assert QSettings().value(name) == value
