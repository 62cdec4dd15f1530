"""The button that sets a setting free for a search, and the line with its values while it is free."""

from collections.abc import Callable

from PySide6.QtWidgets import QLineEdit, QToolButton

from gui.base import theme
from gui.base.translation import tr

_WIDTH = 232


class FreeButton(QToolButton):
    """Pressed while the setting is free; `values` then holds the text of its values.

    Args:
        freed: called with "" when it is set free, with the text when that was edited, with None when it is bound again.
    """

    def __init__(self, name: str, label: str, freed: Callable[[str | None], None]):
        super().__init__()
        self.setObjectName(f"free-{name}")
        self.setCheckable(True)
        self.setAccessibleName(tr("Set {label} free", label=label))
        self.setToolTip(tr("Leave it to a search: say the values that it may take"))
        self.clicked.connect(lambda now: freed("" if now else None))
        self.values = QLineEdit()
        self.values.setObjectName(f"free-values-{name}")
        self.values.setAccessibleName(tr("Values of {label}", label=label))
        self.values.setPlaceholderText(tr("every value"))
        self.values.setToolTip(
            tr("A range, such as 0.2 to 0.8 by 0.05 or 1e-5 to 0.01 log; or values with commas between")
        )
        self.values.setMaximumWidth(_WIDTH)
        self.values.hide()
        self.values.editingFinished.connect(self._edited)
        self._freed, self._shown = freed, ""

    def show_free(self, values: str | None) -> None:
        """The text of its values where it is free, else None."""
        self.setChecked(values is not None)
        self.setIcon(theme.icon("search", "accent" if values is not None else "muted"))
        self.values.setVisible(values is not None)
        if values is not None and values != self._shown:
            self._shown = values
            self.values.setText(values)

    def _edited(self) -> None:
        if self.isChecked() and self.values.text() != self._shown:
            self._shown = self.values.text()
            self._freed(self._shown or " ")
