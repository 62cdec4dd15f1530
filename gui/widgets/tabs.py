"""Pages behind tabs."""

from PySide6.QtWidgets import QTabWidget


class Tabs(QTabWidget):
    """The tab bar takes the whole width, so that the line along it, which the stylesheet gives to tab bars, does too.

    Args:
        name: the object's name.
        said: what a screen reader calls it.
        below: whether the tabs stand below their pages.
    """

    def __init__(self, name: str, said: str, below: bool = False):
        super().__init__()
        self.setObjectName(name)
        self.setDocumentMode(True)
        if below:
            self.setTabPosition(QTabWidget.TabPosition.South)
        bar = self.tabBar()
        bar.setProperty("below", below)
        bar.setDrawBase(False)  # the style's own line, in a colour of its own
        for part in (self, bar):
            part.setAccessibleName(said)
