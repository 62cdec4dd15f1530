"""The window's actions and menus: names, shortcuts, icons. What they do is wired by the window."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMainWindow, QMenu

from gui import theme
from gui.files import Recipe

PLACES = (
    ("start", "Start"),
    ("data", "Data"),
    ("pipeline", "Pipeline"),
    ("monitor", "Monitor"),
    ("compare", "Compare"),
    ("inspect", "Inspect"),
    ("export", "Export"),
)
_ICONS = {
    "open": "file",
    "open_run": "folder",
    "save": "save",
    "save_as": "save",
    "quit": "quit",
    "run": "play",
    "resume_run": "resume",
    "pause": "pause",
    "stop": "stop",
    "finish": "finish",
    "check": "check",
    "about": "info",
    "settings": "settings",
    "guide": "help",
    "reference": "document",
    "doctor": "check",
}


@dataclass(slots=True)
class Actions:
    """Every action of the window that is not a place's own."""

    open: QAction
    open_run: QAction
    save: QAction
    save_as: QAction
    quit: QAction
    run: QAction
    resume_run: QAction
    pause: QAction
    stop: QAction
    finish: QAction
    check: QAction
    about: QAction
    settings: QAction
    guide: QAction
    reference: QAction
    doctor: QAction

    def retheme(self, paused: bool) -> None:
        """Take the icons in the theme's colours."""
        for field in fields(self):
            action: QAction = getattr(self, field.name)
            name = "play" if field.name == "pause" and paused else _ICONS[field.name]
            action.setProperty(
                "primary_icon", theme.icon(name, "on_accent")
            )  # before the icon, which tells buttons
            action.setIcon(theme.icon(name))


def make_actions(window: QMainWindow) -> Actions:
    """All actions, with texts, shortcuts and tooltips; none is connected yet."""

    def action(name: str, text: str, tip: str, shortcut: str | QKeySequence.StandardKey = "") -> QAction:
        made = QAction(text, window)
        made.setObjectName(name)
        made.setToolTip(tip)
        made.setStatusTip(tip)
        if shortcut:
            made.setShortcut(QKeySequence(shortcut))
        return made

    standard = QKeySequence.StandardKey
    return Actions(
        open=action("open", "&Open pipeline…", "Open a pipeline file", standard.Open),
        open_run=action("open-run", "Open r&un…", "Open the folder of a run from before", "Ctrl+Shift+O"),
        save=action("save", "&Save", "Save the pipeline", standard.Save),
        save_as=action("save-as", "Save &as…", "Save the pipeline in another file", "Ctrl+Shift+S"),
        quit=action("quit", "&Quit", "Close the window", standard.Quit),
        run=action("run", "&Run", "Train, compress, export and measure every stage", "F5"),
        resume_run=action(
            "resume-run", "Resume r&un", "Go on with the run of this pipeline that was stopped", "Shift+F5"
        ),
        pause=action("pause", "&Pause", "Hold the run where it is", "F6"),
        stop=action("stop", "&Stop", "Stop the run; every finished epoch is kept", "F7"),
        finish=action(
            "finish-stage",
            "&Finish this stage",
            "End this stage's training after this epoch, keep its best, and go on with the next stage",
            "F8",
        ),
        check=action(
            "check",
            "&Check",
            "Look for everything that would keep this pipeline from running, "
            "and estimate its time, disk and memory",
            "F4",
        ),
        about=action("about", "&About Espalier", "Versions, to copy into a report"),
        settings=action("settings", "Se&ttings…", "Device, storage, downloads, theme", "Ctrl+,"),
        guide=action("guide", "&User guide", "The part of the guide about this place", "F1"),
        reference=action("reference", "&Reference", "Every setting, with units, bounds and defaults"),
        doctor=action(
            "doctor", "&Check this installation…", "Look at libraries, devices, storage and display"
        ),
    )


def make_menus(
    window: QMainWindow,
    actions: Actions,
    recipes: list[Recipe],
    open_recipe: Callable[[Path], None],
    show_place: Callable[[str], None],
    choose_theme: Callable[[theme.Choice], None],
    theme_choice: str,
    undo: QAction,
    redo: QAction,
) -> None:
    """Fill the menu bar."""
    bar = window.menuBar()
    file = _menu(bar.addMenu("&File"), "menu-file")
    file.addAction(actions.open)
    recipe_menu = _menu(file.addMenu("Open re&cipe"), "menu-recipes")
    recipe_menu.setToolTipsVisible(True)
    for recipe in recipes:
        entry = recipe_menu.addAction(recipe.name)
        entry.setToolTip(recipe.about)
        entry.triggered.connect(lambda _=False, path=recipe.path: open_recipe(path))
    file.addAction(actions.open_run)
    file.addSeparator()
    file.addActions([actions.save, actions.save_as])
    file.addSeparator()
    file.addAction(actions.quit)
    edit = _menu(bar.addMenu("&Edit"), "menu-edit")
    edit.addActions([undo, redo])
    edit.addSeparator()
    actions.settings.setMenuRole(QAction.MenuRole.PreferencesRole)
    edit.addAction(actions.settings)
    run = _menu(bar.addMenu("&Run"), "menu-run")
    run.addActions([actions.run, actions.resume_run, actions.pause, actions.finish, actions.stop])
    run.addSeparator()
    run.addAction(actions.check)
    view = _menu(bar.addMenu("&View"), "menu-view")
    for number, (place, title) in enumerate(PLACES, 1):
        entry = view.addAction(title)
        entry.setObjectName(f"view-{place}")
        entry.setShortcut(QKeySequence(f"Ctrl+{number}"))
        entry.triggered.connect(lambda _=False, place=place: show_place(place))
    view.addSeparator()
    themes = _menu(view.addMenu("&Theme"), "menu-theme")
    words = (("system", "As the system"), ("light", "Light"), ("dark", "Dark"))
    _choices(themes, words, theme_choice, choose_theme)
    help = _menu(bar.addMenu("&Help"), "menu-help")
    help.addActions([actions.guide, actions.reference])
    help.addSeparator()
    help.addAction(actions.doctor)
    help.addAction(actions.about)


def show_theme(window: QMainWindow, choice: str) -> None:
    """Tick the theme in force, wherever it was chosen."""
    entry = window.findChild(QAction, f"menu-theme-{choice}")
    if entry is not None:
        entry.setChecked(True)


def _menu(menu: QMenu, name: str) -> QMenu:
    menu.setObjectName(name)
    return menu


def _choices(
    menu: QMenu, words: tuple[tuple[str, str], ...], chosen: str, choose: Callable[[Any], None]
) -> None:
    group = QActionGroup(menu)
    for value, text in words:
        entry = menu.addAction(text)
        entry.setObjectName(f"{menu.objectName()}-{value}")
        entry.setCheckable(True)
        entry.setChecked(value == chosen)
        entry.triggered.connect(lambda _=False, value=value: choose(value))
        group.addAction(entry)
