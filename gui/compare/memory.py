"""What the comparison desk remembers from one session to the next."""

import json
import logging
from collections.abc import Collection
from typing import Any

from PySide6.QtCore import QSettings

from core.common.logs import in_a_line
from core.records.metrics import METRICS
from gui.compare.state import LABEL, ComparisonState

_log = logging.getLogger(__name__)

_KEY = "compare/"


def recall(state: ComparisonState) -> None:
    """Set columns, order, pin and axes as they were left; what is unknown by now is passed over."""
    columns = _read("columns")
    if isinstance(columns, list):
        state.columns = tuple(name for name in columns if name in METRICS)
    order = _read("order")
    if isinstance(order, list) and len(order) == 2 and (order[0] in METRICS or order[0] in ("", LABEL)):
        state.order = (str(order[0]), bool(order[1]))
    axes = _read("axes")
    if isinstance(axes, list) and len(axes) == 2 and all(name in METRICS for name in axes):
        state.axes = (str(axes[0]), str(axes[1]))
    pin = _read("pin")
    state.pin = pin if isinstance(pin, str) else ""


def remember(state: ComparisonState, names: Collection[str]) -> None:
    """Keep those of columns, order, pin and axes that are named."""
    for name in names:
        _write(name, getattr(state, name))


def recall_runs() -> list[str]:
    """The folders that were chosen."""
    folders = _read("runs")
    return [each for each in folders if isinstance(each, str)] if isinstance(folders, list) else []


def remember_runs(folders: list[str]) -> None:
    _write("runs", folders)


def recall_widths() -> dict[str, int]:
    """Widths of columns that were dragged, by metric id."""
    widths = _read("widths")
    return {name: width for name, width in widths.items() if isinstance(width, int)} if isinstance(widths, dict) else {}  # fmt: skip


def remember_widths(widths: dict[str, int]) -> None:
    _write("widths", widths)


def _read(name: str) -> Any:
    text = QSettings().value(_KEY + name)
    try:
        return json.loads(text) if isinstance(text, str) else None
    except ValueError as error:
        _log.debug("A remembered setting of Compare cannot be read: %s", in_a_line(error))
        return None


def _write(name: str, value: Any) -> None:
    QSettings().setValue(_KEY + name, json.dumps(value))
