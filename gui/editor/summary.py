"""One line per card: what was set, in the order and with the units of the declaration (no widgets)."""

from typing import Any

from core.common.declarations import ParameterDeclaration, declarations, plain_value, value_at
from core.data.catalogue import SOURCES
from core.data.settings import DataSettings
from core.document.data_axis import data_sets
from core.document.dimensions import ENABLED
from core.document.expansion import labels
from core.document.free_text import as_text
from core.document.pipeline import Grid, Pipeline, SourceNode, StageNode
from core.document.stage_tree import references
from core.whatif import Forecast
from gui.base.translation import tr

_SEPARATOR = " · "
_LONGEST = 5
_LEADING = 2


def pipeline_summary(pipeline: Pipeline) -> str:
    """How many stages work, and with which seeds."""
    active, every, seeds = len(pipeline.active), len(pipeline.stages), pipeline.axes.seed
    stages = (
        tr("{active} of {all} stages", active=active, all=every)
        if active < every
        else tr("{count} stages", count=every)
    )
    numbers = ", ".join(map(str, seeds))
    which = tr("seeds {seeds}", seeds=numbers) if len(seeds) > 1 else tr("seed {seed}", seed=numbers)
    axis = pipeline.axes.backbone
    over = [tr("backbones {names}", names=", ".join(labels(axis.values)))] if axis is not None else []
    if names := data_sets(pipeline):
        over.append(tr("data sets {names}", names=", ".join(names)))
    return _SEPARATOR.join((stages, which, *over, *(_grid(pipeline, grid) for grid in pipeline.axes.grids)))


def _grid(pipeline: Pipeline, grid: Grid) -> str:
    """ "grid over Pruned: ratio 0.2, 0.3, 0.4"."""
    names = {node.id: node.title for node in pipeline.stages}
    axes = " × ".join(
        f"{name.replace('_', ' ')} {', '.join(str(value) for value in values)}"
        for name, values in grid.settings.items()
    )
    return tr("grid over {stage}: {axes}", stage=names.get(grid.stage, grid.stage), axes=axes)


def stage_summary(pipeline: Pipeline, node: StageNode, forecast: Forecast | None = None) -> str:
    """ "ratio 0.3 · block-internal · 2 epochs": the first settings, and the others that were set.

    Args:
        forecast: knows how many images there are: of more than that are asked for, all are taken.
    """
    images = forecast.train_images if forecast is not None else None
    names = {stage.id: stage.title for stage in pipeline.stages}
    teachers = references(node.kind)
    fields, parts = declarations(node.stage.Settings), []
    values = {field.name: value_at(node.settings, field) for field in fields}
    named = {field.label.lower() for field in fields if field.when is not None and field.when.holds(values)}
    leading = [field.name for field in fields if not field.added][:_LEADING]
    for field in fields:
        if field.when is not None and not field.when.holds(values):
            continue
        if field.kind == "choice" and str(values[field.name]) in named:
            continue  # the setting that it chooses says it
        if field.kind == "group":
            parts += _group(field, node.settings.get(field.name))
        elif field.name in teachers:
            if field.added and not node.settings.get(field.name):
                continue
            value = str(node.settings.get(field.name, ""))
            parts.append(f"{_small(field.label)} {names.get(value, value) or tr('not chosen')}")
        elif field.name in leading or field.name in node.settings or _led(field, fields):
            value = values[field.name]
            if field.name == "images" and images is not None and isinstance(value, int) and value > images:
                parts.append(
                    tr("{setting} {count} of {count}: all", setting=_small(field.label), count=images)
                )
                continue
            parts.append(shown_value(field, value))
    return _SEPARATOR.join([part for part in parts if part][:_LONGEST])


def with_free(pipeline: Pipeline, node: SourceNode | StageNode, words: str) -> str:
    """The line of a card, with what is free first: "free: ratio 0.2 to 0.8 by 0.05, on or off"."""
    search = pipeline.search
    if search is None:
        return words
    group = "stages" if isinstance(node, StageNode) else "sources"
    start, parts = f"{group}.{node.id}.", []
    for path, free in search.free.items():
        if path.startswith(start):
            name = path[len(start) :].rpartition(".")[2].replace("_", " ")
            parts.append(tr("on or off") if name == ENABLED else f"{name} {as_text(free)}".strip())
    parts += [tr("slot {name}", name=name) for name, ids in search.slots.items() if node.id in ids]
    return tr("free: {parts}", parts=", ".join(parts)) + _SEPARATOR + words if parts else words


def _led(field: ParameterDeclaration, fields: tuple[ParameterDeclaration, ...]) -> bool:
    """Whether one of the first settings chooses this one."""
    leaders = {leader.name for leader in fields[:_LEADING]}
    return field.when is not None and field.when.name in leaders and not field.advanced


def source_summary(node: SourceNode) -> str:
    """What was chosen."""
    return _SEPARATOR.join(node.source.summary(node.settings)) or tr("nothing chosen yet")


def data_summary(data: DataSettings) -> str:
    """Data set, size, limits."""
    source = SOURCES.get(data.source)
    parts = [source.title if source else data.source]
    if data.path:
        parts.append(data.path)
    if data.image_size:
        parts.append(f"{data.image_size} px")
    if data.train_images:
        parts.append(tr("{train_images} training images", train_images=data.train_images))
    return _SEPARATOR.join(parts)


def shown_value(field: ParameterDeclaration, value: Any) -> str:
    """A value with what it is."""
    if field.kind == "choice":  # a number alone says nothing
        return f"{_small(field.label)} {value}" if str(value).isdigit() else str(value)
    if field.kind == "bool":
        return _small(field.label) if value else f"no {_small(field.label)}"
    if value is None:
        return ""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    unit = "" if field.unit and _small(field.label).endswith(field.unit) else _unit(field, value)
    return f"{_small(field.label)} {text} {unit}".strip()


def _group(field: ParameterDeclaration, settings: dict[str, Any] | None) -> list[str]:
    """Of a group: the first number with its unit (epochs), and the first real number that was set."""
    assert field.group is not None
    fields = declarations(field.group)
    values = plain_value(field.default) if settings is None else settings
    parts = [shown_value(fields[0], value_at(values or {}, fields[0]))] if fields[0].kind != "int" else []
    if not parts:
        value = value_at(values or {}, fields[0])
        parts = [f"{value} {_unit(fields[0], value) or _small(fields[0].label)}"]
    set_numbers = [f for f in fields[1:] if f.kind == "float" and f.name in (settings or {})]
    return parts + [shown_value(f, (settings or {})[f.name]) for f in set_numbers[:1]]


def _unit(field: ParameterDeclaration, value: Any) -> str:
    return field.unit.removesuffix("s") if value == 1 else field.unit


def _small(label: str) -> str:
    """A label within a line: only its first letter is made small ("temperature T")."""
    return label if label[:2].isupper() else label[:1].lower() + label[1:]
