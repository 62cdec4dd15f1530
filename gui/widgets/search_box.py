"""A line to search or filter with; its clear button has a name like every other button."""

from PySide6.QtWidgets import QLineEdit, QToolButton

from gui.base.translation import tr


class SearchBox(QLineEdit):
    """Empty shows what can be searched for; the button inside empties it."""

    def __init__(self, name: str, label: str, placeholder: str):
        super().__init__()
        self.setObjectName(name)
        self.setAccessibleName(label)
        self.setPlaceholderText(placeholder)
        self.setClearButtonEnabled(True)
        for button in self.findChildren(QToolButton):
            button.setObjectName(f"{name}-clear")
            button.setAccessibleName(tr("Clear"))
