"""Forms are made from declarations: every parameter of every stage, by the whole catalogue."""

from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDoubleSpinBox, QLineEdit, QSpinBox

from core.common.declarations import ParameterDeclaration, declarations, plain_value
from core.common.params import Params
from core.data.settings import DataSettings
from core.document import edits
from core.models.settings import BackboneSettings
from core.sources.checkpoint import CheckpointSettings
from core.stages.catalogue import STAGES
from gui.base.theme import Theme
from gui.widgets.form import Form
from gui.widgets.path_fields import make_field

MODELS = {
    "data": DataSettings, "backbone": BackboneSettings, "checkpoint": CheckpointSettings,
    **{stage.id: stage.Settings for stage in STAGES.values()},
}  # fmt: skip


def leaves(
    model: type[Params], where: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], ParameterDeclaration]]:
    found = []
    for field in declarations(model):
        if field.group is not None:
            found += leaves(field.group, (*where, field.name))
        else:
            found.append(((*where, field.name), field))
    return found


every_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


def another_value(field: ParameterDeclaration) -> Any:
    """A value within the bounds that is not the default."""
    if field.kind == "bool":
        return not field.default
    if field.kind == "choice":
        return next(value for value, _help in field.choices if value != field.default)
    if field.kind == "text":
        return "something/else"
    low, high = field.low, field.high
    if field.kind == "int":
        value = int(low if low is not None else 0) + 1 + field.open_low
        return value if value != field.default else value + 1
    middle = (low + high) / 2 if low is not None and high is not None else (low or 0.0) + 1.0
    return middle if middle != field.default else middle / 2


@every_model
def test_a_value_set_in_the_widget_arrives_in_the_parameters(
    qtbot: Any, theme: Theme, model: type[Params]
) -> None:
    form = Form(model)
    qtbot.addWidget(form)
    settings: dict[str, Any] = {}

    def take(path: tuple[str, ...], value: Any, unset: bool) -> None:
        settings.update(edits.with_value(settings, model, path, value, unset))

    form.edited.connect(take)
    for where, field in leaves(model):
        settings.clear()
        form.show_settings({})
        wanted = another_value(field)
        editor = form.field(where)
        editor.show_value(wanted)
        assert editor.value() == wanted, where
        editor.changed.emit(editor.value())
        inner = settings
        for name in where:
            inner = inner[name]
        assert inner == wanted, where
        required = {f.name: "fp32" for f in declarations(model) if f.required and f.name not in settings}
        parsed: Any = model.parse({**required, **settings})
        for name in where:
            parsed = getattr(parsed, name)
        assert parsed == wanted, where


@every_model
def test_bounds_step_and_unit_come_from_the_declaration(
    qtbot: Any, theme: Theme, model: type[Params]
) -> None:
    form = Form(model)
    qtbot.addWidget(form)
    for where, field in leaves(model):
        if field.kind not in ("int", "float"):
            continue
        box = form.field(where).findChild(QSpinBox) or form.field(where).findChild(QDoubleSpinBox)
        assert box is not None, where
        if field.low is not None:
            bound = field.low + (field.open_low and field.kind == "int")
            assert box.minimum() >= field.low, where
            assert box.minimum() == pytest.approx(bound, abs=1e-9), where
            assert (box.minimum() > field.low) == field.open_low, where
        if field.high is not None:
            bound = field.high - (field.open_high and field.kind == "int")
            assert (box.maximum() < field.high) == field.open_high, where
            assert box.maximum() == pytest.approx(bound, abs=1e-6), where
        assert box.suffix().strip() == field.unit, where
        if field.step is not None:
            assert box.singleStep() == pytest.approx(field.step), where


@every_model
def test_every_field_has_a_name_a_help_and_an_object_name(
    qtbot: Any, theme: Theme, model: type[Params]
) -> None:
    form = Form(model)
    qtbot.addWidget(form)
    for where, field in leaves(model):
        main = form.field(where).main
        assert main.objectName() == f"field-{'.'.join(where)}"
        assert main.accessibleName() == field.label, where
        assert field.help and field.help in main.toolTip(), where
        assert all(sentence for _value, sentence in field.choices), where


def test_small_numbers_are_written_short_and_read_in_any_form(qtbot: Any, theme: Theme) -> None:
    form = Form(STAGES["train"].Settings)
    qtbot.addWidget(form)
    form.show_settings({})
    box = form.field(("training", "learning_rate")).main
    assert isinstance(box, QDoubleSpinBox)
    assert box.text() == "5e-05"
    box.setFocus()
    box.selectAll()
    qtbot.keyClicks(box, "2.5e-4")
    assert box.value() == 2.5e-4
    box.selectAll()
    qtbot.keyClicks(box, "0")  # not above the open bound: not taken
    assert box.value() == 2.5e-4


def test_a_long_number_beside_a_slider_is_shown_whole(qtbot: Any, theme: Theme) -> None:
    ratio = next(field for field in declarations(STAGES["prune-channels"].Settings) if field.name == "ratio")
    field = make_field(ratio)
    qtbot.addWidget(field)
    field.resize(320, 40)
    field.show()
    field.show_value(0.5)
    usual = field.box.width()
    field.box.lineEdit().selectAll()
    qtbot.keyClicks(field.box, "0.0005")
    assert field.value() == 0.0005 and field.box.text() == "0.0005"
    for number in (0.0005, 0.123456789, 5e-05):
        field.show_value(number)
        line = field.box.lineEdit()
        qtbot.waitUntil(lambda line=line: line.width() > line.fontMetrics().horizontalAdvance(line.text()))
        assert field.value() == number and field.slider.width() > 60
    field.show_value(0.5)
    assert field.box.width() == usual


def test_an_optional_number_can_be_unset(qtbot: Any, theme: Theme) -> None:
    form = Form(DataSettings)
    qtbot.addWidget(form)
    form.show_settings({"train_images": 500})
    editor = form.field(("train_images",))
    assert editor.value() == 500
    heard: list[Any] = []
    form.edited.connect(lambda where, value, unset: heard.append((where, value, unset)))
    editor.check.setChecked(False)  # type: ignore[attr-defined]
    assert heard == [(("train_images",), None, False)]


def test_reset_is_offered_only_where_the_value_differs(qtbot: Any, theme: Theme) -> None:
    form = Form(STAGES["prune-channels"].Settings)
    qtbot.addWidget(form)
    form.show_settings({"ratio": 0.5})
    assert not form.rows["ratio"].reset.isHidden()
    assert form.rows["round_to"].reset.isHidden()
    heard: list[Any] = []
    form.edited.connect(lambda where, value, unset: heard.append((where, unset)))
    form.rows["ratio"].reset.click()
    assert heard == [(("ratio",), True)]


def test_a_group_keeps_its_own_defaults_when_one_of_its_values_is_set() -> None:
    model = STAGES["prune-channels"].Settings
    own = model.parse({}).training.weight_decay  # type: ignore[attr-defined]
    settings = edits.with_value({}, model, ("training", "epochs"), 3, False)
    assert model.parse(settings).training.weight_decay == own  # type: ignore[attr-defined]
    assert edits.with_value(settings, model, ("training", "epochs"), None, True) == {}


def test_a_problem_is_shown_at_its_field(qtbot: Any, theme: Theme) -> None:
    form = Form(STAGES["distil"].Settings)
    qtbot.addWidget(form)
    form.show_settings({})
    form.show_problems({("training", "epochs"): "Expected fewer."})
    row = form.groups["training"].rows["epochs"]
    assert "Expected fewer." in row.problem.text() and not row.problem.isHidden()
    form.show_problems({})
    assert row.problem.isHidden()


def test_what_is_folded_is_made_when_it_is_opened_and_shows_what_was_shown_before(
    qtbot: Any, theme: Theme
) -> None:
    form = Form(STAGES["train"].Settings)
    qtbot.addWidget(form)
    inner = form.groups["training"]
    name = next(name for name in inner._folds if name not in inner.groups)
    assert name not in inner.rows
    declaration = next(d for d in declarations(inner.model) if d.name == name)
    assert form.has(("training", name)) and not form.has(("training", "no such"))
    form.show_settings({})
    form.show_problems({("training", name): "Expected fewer."})
    row = inner.rows[name]
    assert "Expected fewer." in row.problem.text() and not row.problem.isHidden()
    assert row.field.value() == plain_value(declaration.default)


def test_the_tab_key_goes_through_what_was_folded_in_its_order(qtbot: Any, theme: Theme) -> None:
    form = Form(STAGES["train"].Settings)
    qtbot.addWidget(form)
    below = QLineEdit()
    form.layout().addWidget(below)
    form.show()
    inner = form.groups["training"]
    fold = next(fold for name, fold in inner._folds.items() if name not in inner.groups)
    fold.button.setChecked(True)
    chain, widget = [], form.nextInFocusChain()
    while widget is not form:
        if widget.focusPolicy() != Qt.FocusPolicy.NoFocus:
            chain.append(widget)
        widget = widget.nextInFocusChain()
    assert fold.inside is not None
    inside = [index for index, widget in enumerate(chain) if fold.inside.isAncestorOf(widget)]
    assert chain.index(fold.button) < inside[0] and inside[-1] < chain.index(below)
