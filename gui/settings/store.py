"""The person's settings that belong to the machine and not to a pipeline; kept by Qt's settings."""

import json
from typing import Any

from PySide6.QtCore import QObject, QSettings, Signal

from core.cluster.security import checked_address
from core.common.errors import EspalierError
from core.common.logs import LEVELS
from core.profiling.energy import CORE_WATTS
from gui.base.translation import QT_TR_NOOP

DEVICES = (
    ("auto", QT_TR_NOOP("Automatic: a GPU where there is one")),
    ("cpu", QT_TR_NOOP("Processor")),
    ("cuda", QT_TR_NOOP("GPU")),
)
LOG_LEVELS = (
    ("warning", QT_TR_NOOP("Little: what did not work")),
    ("info", QT_TR_NOOP("Usual: runs and processes too")),
    ("debug", QT_TR_NOOP("Everything")),
)
MOST_THREADS, MOST_PROCESSES, LEAST_WATTS, MOST_WATTS = 256, 64, 0.1, 100.0


class Settings(QObject):
    """Read when they are wanted, written when they change; a value that makes no sense is the default.

    Signals:
        changed: one of them is other than before.
    """

    changed = Signal()

    @property
    def device(self) -> str:
        stored = str(QSettings().value("compute/device", "auto"))
        return stored if stored in dict(DEVICES) else "auto"

    @property
    def threads(self) -> int:
        """Of training; 0 takes one per physical core."""
        return int(_number("compute/threads", 0, 0, MOST_THREADS))

    @property
    def deterministic(self) -> bool:
        return QSettings().value("compute/deterministic", True, bool) is not False

    @property
    def compiled(self) -> bool:
        """Whether training on a GPU goes through torch.compile."""
        return QSettings().value("compute/compiled", False, bool) is True

    @property
    def processes(self) -> int:
        """That train a stage together."""
        return int(_number("compute/processes", 1, 1, MOST_PROCESSES))

    @property
    def core_watts(self) -> float:
        """Power of one busy core, for energy where it cannot be measured."""
        return _number("compute/core_watts", CORE_WATTS, LEAST_WATTS, MOST_WATTS)

    @property
    def keep_awake(self) -> bool:
        return _yes("run/keep_awake")

    @property
    def notify(self) -> bool:
        return _yes("run/notify")

    @property
    def log_level(self) -> str:
        stored = str(QSettings().value("log/level", "info"))
        return stored if stored in LEVELS else "info"

    @property
    def clusters(self) -> list[dict[str, str]]:
        """The schedulers that a person has named: `address`, and `tls`, the folder of their certificates or ""."""
        try:
            stored = json.loads(str(QSettings().value("machines/clusters", "[]")))
            return [{"address": str(one["address"]), "tls": str(one["tls"])} for one in stored]
        except (ValueError, TypeError, KeyError):
            return []

    @property
    def where(self) -> str:
        """The address of the scheduler whose workers make the stages of runs; "" for this machine."""
        stored = str(QSettings().value("machines/where", ""))
        return stored if any(one["address"] == stored for one in self.clusters) else ""

    @property
    def cluster(self) -> dict[str, str] | None:
        """The cluster that makes the stages of runs."""
        return next((one for one in self.clusters if one["address"] == self.where), None)

    def add_cluster(self, address: str, tls: str) -> str:
        """Remember a scheduler; a sentence where the address is none."""
        try:
            full = checked_address(address, bool(tls))
        except EspalierError as error:
            return f"{error.message} {error.advice}".strip()
        others = [one for one in self.clusters if one["address"] != full]
        self.set("machines/clusters", json.dumps([*others, {"address": full, "tls": tls}]))
        return ""

    def remove_cluster(self, address: str) -> None:
        """Forget a scheduler."""
        self.set("machines/clusters", json.dumps([one for one in self.clusters if one["address"] != address]))

    def set(self, name: str, value: str | int | float | bool) -> None:
        """Remember a setting by its key, like "compute/threads"."""
        QSettings().setValue(name, value)
        self.changed.emit()

    def options(self) -> dict[str, Any]:
        """What the engine's `Options` are made from; defaults are left out, so that they stay the engine's."""
        chosen: dict[str, Any] = {"device": self.device}
        if self.threads:
            chosen["threads"] = self.threads
        if self.core_watts != CORE_WATTS:
            chosen["core_watts"] = self.core_watts
        if not self.deterministic:
            chosen["deterministic"] = False
        if self.compiled:
            chosen["compiled"] = True
        if self.processes > 1:
            chosen["processes"] = self.processes
        return chosen


def _number(name: str, default: float, low: float, high: float) -> float:
    try:
        value = float(str(QSettings().value(name, default)))
    except ValueError:
        return default
    return value if low <= value <= high else default


def _yes(name: str) -> bool:
    return str(QSettings().value(name, True)).lower() != "false"
