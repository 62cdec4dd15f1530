"""The file that Qt keeps the window's settings in: one that is damaged is set aside, and said."""

from pathlib import Path

from PySide6.QtCore import QSettings

from core.common.content_hashes import set_aside
from gui.base.translation import tr


def set_aside_damaged() -> str:
    """A sentence for the person where the file was damaged, "" where it is whole; called when the program starts."""
    settings = QSettings()
    path = Path(settings.fileName())
    if not path.is_file() or (settings.status() == QSettings.Status.NoError and _is_text(path.read_bytes())):
        return ""
    aside = set_aside(path)
    settings.clear()
    settings.sync()
    return tr(
        "The window's settings were damaged: they are set aside as {file}, and begin with their usual values.",
        file=str(aside),
    )


def _is_text(content: bytes) -> bool:
    """Whether it can be what Qt wrote; a disk that was full or lost power leaves zeros."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in content
