"""The window's actions and menus: names, shortcuts, icons. What they do is wired by the window."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMainWindow, QMenu

from core.document.recipes import Recipe
from gui.base import theme
from gui.base.translation import QT_TR_NOOP, tr

PLACES = (
    ("start", QT_TR_NOOP("Start")),
    ("data", QT_TR_NOOP("Data")),
    ("pipeline", QT_TR_NOOP("Pipeline")),
    ("monitor", QT_TR_NOOP("Monitor")),
    ("study", QT_TR_NOOP("Search")),
    ("compare", QT_TR_NOOP("Compare")),
    ("inspect", QT_TR_NOOP("Inspect")),
    ("export", QT_TR_NOOP("Export")),
    ("tryout", QT_TR_NOOP("Try-out")),
)
_ICONS = {
    "new": "add",
    "duplicate": "duplicate",
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
    "commands": "search",
    "settings": "settings",
    "guide": "help",
    "reference": "document",
    "doctor": "check",
}


@dataclass(slots=True)
class Actions:
    """Every action of the window that is not a place's own."""

    new: QAction
    duplicate: QAction
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
    commands: QAction
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
        action = QAction(text, window)
        action.setObjectName(name)
        action.setToolTip(tip)
        action.setStatusTip(tip)
        if shortcut:
            action.setShortcut(QKeySequence(shortcut))
        return action

    standard = QKeySequence.StandardKey
    return Actions(
        new=action(
            "new", tr("&New pipeline"), tr("A pipeline of one stage, on the open data set"), standard.New
        ),
        duplicate=action(
            "duplicate",
            tr("&Duplicate pipeline"),
            tr("A copy of the open pipeline, without its description, notes and paper"),
        ),
        open=action("open", tr("&Open pipeline…"), tr("Open a pipeline file"), standard.Open),
        open_run=action(
            "open-run", tr("Open r&un…"), tr("Open the folder of a run from before"), "Ctrl+Shift+O"
        ),
        save=action("save", tr("&Save"), tr("Save the pipeline"), standard.Save),
        save_as=action("save-as", tr("Save &as…"), tr("Save the pipeline in another file"), "Ctrl+Shift+S"),
        quit=action("quit", tr("&Quit"), tr("Close the window"), standard.Quit),
        run=action("run", tr("&Run"), tr("Train, compress, export and measure every stage"), "F5"),
        resume_run=action(
            "resume-run",
            tr("Resume r&un"),
            tr("Go on with the run of this pipeline that was stopped"),
            "Shift+F5",
        ),
        pause=action("pause", tr("&Pause"), tr("Hold the run where it is"), "F6"),
        stop=action("stop", tr("&Stop"), tr("Stop the run; every finished epoch is kept"), "F7"),
        finish=action(
            "finish-stage",
            tr("&Finish this stage"),
            tr("End this stage's training now, keep its best epoch, and go on with the next stage"),
            "F8",
        ),
        check=action(
            "check",
            tr("&Check"),
            tr(
                "Look for everything that would keep this pipeline from running, "
                "and estimate its time, disk and memory"
            ),
            "F4",
        ),
        about=action("about", tr("&About Espalier"), tr("Versions, to copy into a report")),
        commands=action(
            "commands",
            tr("Co&mmand palette…"),
            tr("Everything that can be done, by a few letters of its name"),
            "Ctrl+K",
        ),
        settings=action("settings", tr("Se&ttings…"), tr("Device, storage, downloads, theme"), "Ctrl+,"),
        guide=action("guide", tr("&User guide"), tr("The part of the guide about this place"), "F1"),
        reference=action("reference", tr("&Reference"), tr("Every setting, with units, bounds and defaults")),
        doctor=action(
            "doctor", tr("&Check this installation…"), tr("Look at libraries, devices, storage and display")
        ),
    )


def make_menus(
    window: QMainWindow,
    actions: Actions,
    recipes: Sequence[Recipe],
    open_recipe: Callable[[Path], None],
    show_place: Callable[[str], None],
    themes: theme.Theme,
    fill_edit: Callable[[QMenu], None],
) -> None:
    """Fill the menu bar."""
    bar = window.menuBar()
    file = _menu(bar.addMenu(tr("&File")), "menu-file")
    file.addAction(actions.new)
    file.addAction(actions.open)
    recipe_menu = _menu(file.addMenu(tr("Published &systems")), "menu-recipes")
    recipe_menu.setToolTipsVisible(True)
    for recipe in recipes:
        entry = (recipe_menu if recipe.study else file).addAction(recipe.name)
        entry.setToolTip(recipe.about)
        entry.triggered.connect(lambda _=False, path=recipe.path: open_recipe(path))
    file.addAction(actions.open_run)
    file.addSeparator()
    file.addActions([actions.save, actions.save_as, actions.duplicate])
    file.addSeparator()
    file.addAction(actions.quit)
    fill_edit(_menu(bar.addMenu(tr("&Edit")), "menu-edit"))
    run = _menu(bar.addMenu(tr("&Run")), "menu-run")
    run.addActions([actions.run, actions.resume_run, actions.pause, actions.finish, actions.stop])
    run.addSeparator()
    run.addAction(actions.check)
    view = _menu(bar.addMenu(tr("&View")), "menu-view")
    for number, (place, title) in enumerate(PLACES, 1):
        entry = view.addAction(tr(title))
        entry.setObjectName(f"view-{place}")
        entry.setShortcut(QKeySequence(f"Ctrl+{number}"))
        entry.triggered.connect(lambda _=False, place=place: show_place(place))
    view.addSeparator()
    theme_menu = _menu(view.addMenu(tr("&Theme")), "menu-theme")
    words = (("system", tr("As the system")), ("light", tr("Light")), ("dark", tr("Dark")))
    _choices(theme_menu, words, themes.choice, themes.choose)
    help = _menu(bar.addMenu(tr("&Help")), "menu-help")
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
