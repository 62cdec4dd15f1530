"""Rules about the code's own shape, read from its text."""

import ast
from collections.abc import Iterator
from pathlib import Path

import core

ROOT = Path(core.__file__).resolve().parents[1]
MOST_PARAMETERS = 7
EXEMPT = {
    ("core/common/params.py", "param")
}  # the declaration of a field: one keyword for each thing to say of it


def functions(text: str) -> Iterator[tuple[str, int, int]]:
    """Name, line and number of parameters of every function and method; `self` and `cls` do not count."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            asked = node.args
            names = [each.arg for each in (*asked.posonlyargs, *asked.args, *asked.kwonlyargs)]
            own = names[:1] in (["self"], ["cls"])
            yield node.name, node.lineno, len(names) - own + bool(asked.vararg) + bool(asked.kwarg)


def test_parameters_are_counted():
    text = "class A:\n def f(self, a, /, b, *rest, c, **more): ...\nasync def g(self_, *, d=1): ...\n"
    assert list(functions(text)) == [("g", 3, 2), ("f", 2, 5)]


def test_no_function_has_more_than_seven_parameters():
    seen, found = 0, []
    for path in sorted(path for name in ("core", "gui") for path in (ROOT / name).rglob("*.py")):
        place = path.relative_to(ROOT).as_posix()
        for name, line, count in functions(path.read_text(encoding="utf-8")):
            seen += 1
            if count > MOST_PARAMETERS and (place, name) not in EXEMPT:
                found.append(f"{place}:{line} {name} has {count} parameters")
    assert not found, "Put what belongs together into a small dataclass:\n" + "\n".join(found)
    assert seen > 2000


def test_percentages_are_written_in_one_place():
    """A format of Python's writes "74%", where the program writes "74 %": `core.common.numbers.percent`."""
    found = []
    for path in sorted(path for name in ("core", "gui") for path in (ROOT / name).rglob("*.py")):
        place = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            spec = node.format_spec if isinstance(node, ast.FormattedValue) else None
            if spec is not None and ast.unparse(spec).rstrip("'\"").endswith("%"):
                found.append(f"{place}:{node.lineno}")
    assert not found, found


def test_labels_with_words_are_made_in_one_place():
    """`gui.widgets.buttons.text` shows names from files as they are; a plain `QLabel` takes what looks like HTML for it."""
    found = []
    for path in sorted((ROOT / "gui").rglob("*.py")):
        place = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_label = (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "QLabel"
            )
            if is_label and node.args and place not in ("gui/widgets/buttons.py", "gui/base/messages.py"):
                found.append(f"{place}:{node.lineno}")
    assert not found, found
