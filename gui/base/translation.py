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
    translated = QCoreApplication.translate("", text)
    return translated.format(**words) if words else translated


def QT_TR_NOOP(text: str) -> str:
    """Marks a text that is translated where it is shown; under this name the tool finds it."""
    return text


def install_language(app: QCoreApplication, locale: QLocale | None = None, folder: Path = LANGUAGES) -> bool:
    """Use the person's language where there is a translation; Qt's own dialogs follow."""
    language, translator = locale or QLocale(), QTranslator(app)
    if not translator.load(language, "espalier", "_", str(folder)):
        return False
    app.installTranslator(translator)
    qt = QTranslator(app)
    if qt.load(language, "qtbase", "_", QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)):
        app.installTranslator(qt)
    return True
