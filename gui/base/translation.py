"""The language of the window: texts that people read pass through `tr`.

`pyside6-lupdate` finds every `tr("…")` and `QT_TR_NOOP("…")`; what it is made into lies as
`resources/languages/espalier_LL.qm`, where LL is a language. Without such a file the window speaks English.
"""

from pathlib import Path

from PySide6.QtCore import QCoreApplication, QLibraryInfo, QLocale, QTranslator

from core.common.files import RESOURCES

LANGUAGES = RESOURCES / "languages"


def tr(text: str, /, **words: object) -> str:
    """`text` in the person's language, with `words` in the places that it names: `tr("Saved {name}.", name=…)`."""
    said = QCoreApplication.translate("", text)
    return said.format(**words) if words else said


def QT_TR_NOOP(text: str) -> str:
    """Marks a text that is translated where it is shown; under this name the tool finds it."""
    return text


def speak(app: QCoreApplication, locale: QLocale | None = None, folder: Path = LANGUAGES) -> bool:
    """Speak the person's language where there is a translation; Qt's own dialogs follow."""
    wanted, own = locale or QLocale(), QTranslator(app)
    if not own.load(wanted, "espalier", "_", str(folder)):
        return False
    app.installTranslator(own)
    qt = QTranslator(app)
    if qt.load(wanted, "qtbase", "_", QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)):
        app.installTranslator(qt)
    return True
