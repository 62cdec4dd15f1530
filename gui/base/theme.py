"""Light and dark: one table of colours, one stylesheet, one set of icons recoloured from it.

The stylesheet is not the application's: Qt would work at every widget at once, which takes seconds on a
busy machine. Each part of the window and each dialog has it (`style`), and they are restyled one after the
other, what is visible first, so that the window answers in between.

Every text colour reaches a contrast of 4.5 on every surface that it is used on (a test computes
it). Colours that carry a meaning (`good`, `bad`, `warning`) always come with a sign or a word.
"""

import re
import weakref
from dataclasses import dataclass, fields
from functools import lru_cache, partial
from typing import Literal

from PySide6.QtCore import QByteArray, QDir, QObject, QSettings, Qt, Signal
from PySide6.QtGui import QColor, QGuiApplication, QIcon, QPainter, QPalette, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QApplication, QWidget
from shiboken6 import isValid

from core.common.files import RESOURCES
from gui.base.in_turn import InTurn

Choice = Literal["system", "light", "dark"]


@dataclass(frozen=True, slots=True)
class Colours:
    """The table; every value is `#rrggbb`."""

    window: str
    surface: str
    raised: str
    rail: str
    border: str
    strong_border: str
    text: str
    muted: str
    accent: str
    accent_hover: str
    on_accent: str
    selection: str
    hover: str
    good: str
    bad: str
    warning: str
    info: str
    warning_surface: str
    bad_surface: str
    good_surface: str
    series: tuple[str, ...]


LIGHT = Colours(
    window="#f3f5f4", surface="#ffffff", raised="#f8faf9", rail="#e8ecea", border="#d5dcd9",
    strong_border="#7d8a85", text="#1b2422", muted="#55625d", accent="#1d6f54", accent_hover="#175a44",
    on_accent="#ffffff", selection="#dcefe7", hover="#e9efec", good="#17683f", bad="#b3261e",
    warning="#7a4d00", info="#1f5fa8", warning_surface="#fdf3dc", bad_surface="#fdeceb", good_surface="#e6f4ec",
    series=("#1f66c1", "#c2570c", "#7b4fc9", "#0b7f8a", "#a8326e", "#5f6b00"),
)  # fmt: skip
DARK = Colours(
    window="#1a1e1d", surface="#222827", raised="#272e2c", rail="#151918", border="#37403d",
    strong_border="#74827d", text="#e7edea", muted="#a3b0ab", accent="#58bd97", accent_hover="#74cdac",
    on_accent="#0d1b16", selection="#27473b", hover="#2c3432", good="#6fd6a0", bad="#ff9c93",
    warning="#eabf66", info="#86b9f2", warning_surface="#3a3120", bad_surface="#40272a", good_surface="#20382d",
    series=("#6ea8f7", "#f09a5b", "#b79bf2", "#55c3cf", "#ee88b8", "#c3cc5a"),
)  # fmt: skip


_BAR = 12  # pixels: what is lower holds no text
_ICONS = 12  # drawn in one piece after the theme changed
_USUAL_POINTS = 10.0  # of a system's font; sizes in the stylesheet grow with a larger one


class Theme(QObject):
    """The theme in force; `changed` is emitted when what is visible has been restyled."""

    changed = Signal()

    def __init__(self, app: QApplication):
        super().__init__(app)
        self._app = app
        self._applying = False
        self._parts = InTurn(self)
        for name in ("light", "dark"):
            QDir.setSearchPaths(f"theme{name}", [str(RESOURCES / "styles" / name)])
        stored = str(QSettings().value("theme", "system"))
        self.choice: Choice = stored if stored in ("light", "dark") else "system"  # type: ignore[assignment]
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._system_changed)
        app.setStyle("Fusion")
        self.apply()
        self.finish()

    @property
    def dark(self) -> bool:
        if self.choice == "system":
            return QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark
        return self.choice == "dark"

    @property
    def colours(self) -> Colours:
        return DARK if self.dark else LIGHT

    def choose(self, choice: Choice) -> None:
        """Use and remember "system", "light" or "dark"."""
        self.choice = choice
        QSettings().setValue("theme", choice)
        self.apply()

    def apply(self) -> None:
        """Restyle the application, part after part while the window goes on."""
        self._applying = True
        global _current, _sheet
        _current = self.colours
        _sheet = stylesheet(self.colours, "dark" if self.dark else "light")
        self._app.setPalette(palette(self.colours))
        self._applying = False
        parts = _living()
        shown = [part for part in parts if part.isVisible()]
        self._parts.forget()
        for part in shown:
            self._parts.put(id(part), partial(restyle, part))
        for begin in range(0, len(_asked), _ICONS):
            self._parts.put(f"icons {begin}", partial(_draw_icons, tuple(_asked)[begin : begin + _ICONS]))
        self._parts.put("changed", self.changed.emit)
        for part in parts:
            if part not in shown:
                self._parts.put(id(part), partial(restyle, part))

    def finish(self) -> None:
        """Do at once what is still to be done in turn."""
        self._parts.finish()

    def _system_changed(self) -> None:
        if self.choice == "system" and not self._applying:
            self.apply()


_current: Colours = LIGHT
_sheet = ""
_asked: dict[tuple[str, str], None] = {}  # icons by name and colour, in the order of their first use
_styled: "list[weakref.ref[QWidget]]" = []


def style(part: QWidget) -> None:
    """Give a part of the window, a dialog or a window of its own the stylesheet, now and whenever the theme changes."""
    _styled[:] = [kept for kept in _styled if kept() is not None]
    _styled.append(weakref.ref(part))
    part.setStyleSheet(_sheet)


def restyle(part: QWidget) -> None:
    """Bring a styled part up to the theme in force; nothing where it is, or is gone."""
    if isValid(part) and part.styleSheet() != _sheet:
        part.setStyleSheet(_sheet)


def mark(part: QWidget, name: str, value: object) -> None:
    """Set a property that the stylesheet goes by, and look like it at once."""
    if part.property(name) != value:
        part.setProperty(name, value)
        part.style().unpolish(part)
        part.style().polish(part)


def _living() -> list[QWidget]:
    return [part for kept in _styled if (part := kept()) is not None and isValid(part)]


def colours() -> Colours:
    """The colours in force."""
    return _current


def palette(c: Colours) -> QPalette:
    """The same table as Qt's palette, for everything that the stylesheet leaves alone."""
    roles = QPalette.ColorRole
    table = {
        roles.Window: c.window, roles.WindowText: c.text, roles.Base: c.surface, roles.AlternateBase: c.raised,
        roles.Text: c.text, roles.Button: c.raised, roles.ButtonText: c.text, roles.BrightText: c.bad,
        roles.Highlight: c.accent, roles.HighlightedText: c.on_accent, roles.ToolTipBase: c.surface,
        roles.ToolTipText: c.text, roles.PlaceholderText: c.muted, roles.Link: c.info, roles.LinkVisited: c.info,
        roles.Mid: c.border, roles.Midlight: c.hover, roles.Light: c.surface, roles.Dark: c.strong_border,
        roles.Accent: c.accent,
    }  # fmt: skip
    made = QPalette()
    for role, colour in table.items():
        made.setColor(role, QColor(colour))
    for role in (roles.WindowText, roles.Text, roles.ButtonText):
        made.setColor(QPalette.ColorGroup.Disabled, role, QColor(c.strong_border))
    return made


def stylesheet(c: Colours, name: str) -> str:
    """The stylesheet with this table's colours."""
    text = (RESOURCES / "styles" / "espalier.qss").read_text(encoding="utf-8")
    values = {field.name: getattr(c, field.name) for field in fields(c) if field.name != "series"}
    values["assets"] = f"theme{name}:"
    for key in sorted(values, key=len, reverse=True):
        text = text.replace(f"@{key}", values[key])
    larger = max(1.0, QGuiApplication.font().pointSizeF() / _USUAL_POINTS)
    text = re.sub(r"(\d+)pt\b", lambda size: f"{int(size[1]) * larger:.4g}pt", text)
    return re.sub(r"min-height: (\d+)px", lambda size: f"min-height: {_taller(int(size[1]), larger)}px", text)


def _taller(pixels: int, larger: float) -> int:
    """What holds a line of text grows with it; bars and rules stay."""
    return round(pixels * larger) if pixels > _BAR else pixels


def icon(name: str, colour: str = "") -> QIcon:
    """An icon of the set in the theme's text colour, or in another of its colours by name."""
    _asked[name, colour] = None
    return _icon(name, getattr(_current, colour) if colour else _current.text, _current.strong_border)


def _draw_icons(some: tuple[tuple[str, str], ...]) -> None:
    """Have them drawn in the colours in force before the window takes them."""
    for name, colour in some:
        icon(name, colour)


@lru_cache(maxsize=512)
def _icon(name: str, normal: str, disabled: str) -> QIcon:
    made = QIcon()
    for mode, shade in ((QIcon.Mode.Normal, normal), (QIcon.Mode.Disabled, disabled)):
        picture = QSvgRenderer(_svg(name, shade))  # read once for all sizes
        for size in (16, 20, 24, 32, 48, 64):
            made.addPixmap(_drawn(picture, size), mode)
    return made


def pixmap(name: str, colour: str, size: int, ratio: float = 1.0) -> QPixmap:
    """An icon as a picture of `size` logical pixels; `colour` is a name of the table."""
    made = _drawn(QSvgRenderer(_svg(name, getattr(_current, colour))), round(size * ratio))
    made.setDevicePixelRatio(ratio)
    return made


def app_icon() -> QIcon:
    """The application's own icon."""
    return QIcon(str(RESOURCES / "icons" / "espalier.svg"))


@lru_cache(maxsize=512)
def _svg(name: str, colour: str) -> QByteArray:
    text = (RESOURCES / "icons" / f"{name}.svg").read_text(encoding="utf-8")
    return QByteArray(text.replace("currentColor", colour).encode())


def _drawn(picture: QSvgRenderer, pixels: int) -> QPixmap:
    made = QPixmap(pixels, pixels)
    made.fill(Qt.GlobalColor.transparent)
    painter = QPainter(made)
    picture.render(painter)
    painter.end()
    return made


def contrast(first: str, second: str) -> float:
    """WCAG 2's contrast ratio of two colours, 1…21."""
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def mixed(first: str, second: str, part: float) -> str:
    """The colour that lies `part` (0…1) of the way from the first to the second."""
    one, two = QColor(first), QColor(second)
    channels = (
        round(a + part * (b - a))
        for a, b in ((one.red(), two.red()), (one.green(), two.green()), (one.blue(), two.blue()))
    )
    return "#{:02x}{:02x}{:02x}".format(*channels)


def _luminance(colour: str) -> float:
    def linear(channel: float) -> float:
        return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4

    c = QColor(colour)
    return 0.2126 * linear(c.redF()) + 0.7152 * linear(c.greenF()) + 0.0722 * linear(c.blueF())
