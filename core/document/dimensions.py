"""What is free in a pipeline: each free setting, switch and slot as a dimension, and the pipeline at a point.

A free setting is named by its path: `stages.pruned.ratio`, `stages.fp32.training.learning_rate`, `sources.network.width`;
`stages.mixed.enabled` switches a stage on and off. A slot, `slots.NAME`, is one of several stages, or none: the others are
switched off.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.common.declarations import ParameterDeclaration, declarations, plain_value
from core.common.errors import EspalierError
from core.common.params import When
from core.common.shown_text import shortened, some_of
from core.document.model import Pipeline, SourceNode, StageNode, settings_class
from core.document.search import Free, Value
from core.document.setting_values import with_value as set_value

ENABLED, SLOTS = "enabled", "slots"
NONE = "none"
"""The value of a slot that no stage fills."""

Kind = Literal["int", "float", "choice"]


@dataclass(frozen=True, slots=True)
class Dimension:
    """One thing that is free.

    Attributes:
        path: as in the file. node: id of the source or stage that it is of; "" for a slot.
        field: the way to the setting; empty for a switch and for a slot.
        label: what people call it. unit: behind its values.
        choices: of the kind "choice". low, high, step, log: of the others; step None where any number in between counts.
        when: the condition in the file, a path and what it has to be.
    """

    path: str
    node: str
    field: tuple[str, ...]
    label: str
    kind: Kind
    choices: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    log: bool = False
    unit: str = ""
    when: When | None = None

    def values(self) -> tuple[Value, ...] | None:
        """Every value, in order; None where there are more than can be counted."""
        if self.kind == "choice":
            return self.choices
        if self.step is None:
            return None
        count = int((self.high - self.low) / self.step + 1e-9) + 1
        steps = (round(self.low + index * self.step, 12) for index in range(count))
        return tuple(int(value) if self.kind == "int" else value for value in steps)

    def holds(self, value: Any) -> bool:
        """Whether it can have this value."""
        values = self.values()
        if values is not None:
            return any(_same(value, one) for one in values)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high


def dimensions(pipeline: Pipeline) -> list[Dimension]:
    """Everything that is free: slots and switches first, as others depend on them; then as in the file.

    Raises:
        EspalierError: the first that does not fit the pipeline.
    """
    search = pipeline.search
    if search is None:
        return []
    switches = [path for path in search.free if path.rpartition(".")[2] == ENABLED]
    settings = [path for path in search.free if path not in switches]
    return [
        *(slot(pipeline, name, ids) for name, ids in search.slots.items()),
        *(dimension(pipeline, path, search.free[path]) for path in (*switches, *settings)),
    ]


def slot(pipeline: Pipeline, name: str, ids: tuple[str | None, ...]) -> Dimension:
    """A slot as a dimension.

    Raises:
        EspalierError: when it names what is no stage.
    """
    for id in ids:
        if id is not None and id not in pipeline.stage_ids:
            raise EspalierError(
                f"Expected ids of stages in the slot {name!r}, received {shortened(id)}.",
                f"Choose from: {some_of(sorted(pipeline.stage_ids))}.",
            )
    choices = tuple(NONE if id is None else id for id in ids)
    return Dimension(f"{SLOTS}.{name}", "", (), name, "choice", choices)


def dimension(pipeline: Pipeline, path: str, free: Free) -> Dimension:
    """A free setting or switch as a dimension.

    Raises:
        EspalierError: when there is no such setting, or the values do not fit it.
    """
    node, field = find(pipeline, path)
    when = condition(pipeline, free.when) if free.when else None
    if field is None:
        if free.low is not None:
            raise EspalierError("A stage is on or off: a range has no meaning here.", "Leave it empty: {}.")
        choices = free.choices or (True, False)
        return Dimension(path, node.id, (), f"{node.title}: on", "choice", choices, when=when)
    label = f"{node.title}: {field.label}"
    way = tuple(path.split(".")[2:])
    if field.kind in ("int", "float") and not free.choices:
        low, high = (free.low, field.low), (free.high, field.high)
        if free.low is None and (field.low is None or field.high is None):
            raise EspalierError(
                f"Expected a range, low and high, for {label}.", "Give both ends, or choices."
            )
        ends = [next(end for end in pair if end is not None) for pair in (low, high)]
        step = free.step if free.step is not None or free.log else (1 if field.kind == "int" else None)
        kind: Kind = "int" if field.kind == "int" else "float"
        return Dimension(
            path, node.id, way, label, kind, (), ends[0], ends[1], step, free.log, field.unit, when
        )  # fmt: skip
    if free.low is not None:
        raise EspalierError(f"Expected choices for {label}, received a range.", "It is no number.")
    every = (True, False) if field.kind == "bool" else tuple(name for name, _ in field.choices)
    if not (free.choices or every):
        raise EspalierError(f"Expected choices for {label}, received none.", "Name the values to try.")
    return Dimension(path, node.id, way, label, "choice", free.choices or every, unit=field.unit, when=when)


def find(pipeline: Pipeline, path: str) -> tuple[SourceNode | StageNode, ParameterDeclaration | None]:
    """The source or stage that a path leads to, and its setting; None where it is the switch of a stage.

    Raises:
        EspalierError: when it leads nowhere.
    """
    group, _, rest = path.partition(".")
    id, _, way = rest.partition(".")
    nodes: dict[str, tuple[SourceNode | StageNode, ...]] = {
        "stages": pipeline.stages,
        "sources": pipeline.sources,
    }
    node = next((node for node in nodes.get(group, ()) if node.id == id), None)
    if node is None or not way:
        raise EspalierError(
            f"Expected the path of a setting, such as stages.{pipeline.stages[-1].id}.SETTING, received {shortened(path)}.",
            f"Stages: {some_of(pipeline.stage_ids)}; sources: {some_of([one.id for one in pipeline.sources])}.",
        )
    if way == ENABLED and isinstance(node, StageNode):
        return node, None
    kind, found = settings_class(node), None
    for name in way.split("."):
        fields = {field.name: field for field in declarations(kind)}
        found = fields.get(name)
        if found is None:
            raise EspalierError(
                f"Expected a setting of {node.id!r}, received {shortened(name)}.",
                f"Choose one of: {some_of(fields)}.",
            )
        kind = found.group or kind
    if found is None or found.group is not None:
        raise EspalierError(f"Expected one setting, {path} is a group of them.", "Name a setting in it.")
    return node, found


def condition(pipeline: Pipeline, text: str) -> When:
    """A condition on a setting by its path.

    Raises:
        EspalierError: when it is none, or leads nowhere.
    """
    for sign in ("!=", "=", ">"):
        path, found, values = text.partition(sign)
        if found:
            break
    else:
        path, sign, values = text, "", ""
    try:
        if sign == ">":
            float(values)
    except ValueError as error:
        raise EspalierError(
            f"Expected a number behind '>' in the condition, received {shortened(values)}.",
            "Write PATH>NUMBER.",
        ) from error
    if not path.startswith(f"{SLOTS}."):
        find(pipeline, path)
    elif pipeline.search is None or path.partition(".")[2] not in pipeline.search.slots:
        raise EspalierError(
            f"Expected a slot of this search, received {shortened(path)}.", "Name one of its slots."
        )
    return When(path, sign, tuple(values.split("|")) if sign else ())


def value_of(pipeline: Pipeline, path: str) -> Value:
    """What stands at a path now: as set, or the default; a slot's is the first of its stages that is on."""
    group, _, rest = path.partition(".")
    if group == SLOTS:
        slots = pipeline.search.slots if pipeline.search is not None else {}
        on = {node.id for node in pipeline.active}
        return next((id for id in slots.get(rest, ()) if id in on), NONE)
    node, field = find(pipeline, path)
    if field is None:
        return isinstance(node, StageNode) and node.enabled
    value: Any = node.parameters
    for name in path.split(".")[2:]:
        value = getattr(value, name)
    plain: Value = plain_value(value)
    return plain


def matters(pipeline: Pipeline, dimension: Dimension) -> bool:
    """Whether a dimension counts in a pipeline: its stage is on, and its conditions hold."""
    active = {node.id for node in pipeline.active}
    if dimension.when is not None:
        named = {dimension.when.name: _spelled(value_of(pipeline, dimension.when.name))}
        if not dimension.when.holds(named):
            return False
    if not dimension.node or not dimension.field:
        return True
    if dimension.node in pipeline.stage_ids and dimension.node not in active:
        return False
    node, _ = find(pipeline, dimension.path)
    values: Any = node.parameters
    for depth, name in enumerate(dimension.field):
        field = next(field for field in declarations(type(values)) if field.name == name)
        if field.when is not None and not field.when.holds(values.model_dump(mode="json")):
            return False
        if depth < len(dimension.field) - 1:
            values = getattr(values, name)
    return True


def with_value(pipeline: Pipeline, dimension: Dimension, value: Value) -> Pipeline:
    """The pipeline with one dimension at a value."""
    if dimension.path.startswith(f"{SLOTS}."):
        others = {str(id) for id in dimension.choices if id != value}
        return _switched(
            pipeline, {**dict.fromkeys(others, False), **({} if value == NONE else {str(value): True})}
        )
    if not dimension.field:
        return _switched(pipeline, {dimension.node: bool(value)})
    node, _ = find(pipeline, dimension.path)
    settings = set_value(node.settings, settings_class(node), dimension.field, value, False)
    return pipeline.with_settings(dimension.node, settings)


def at(pipeline: Pipeline, values: Mapping[str, Value], name: str = "") -> Pipeline:
    """The pipeline at a point, as an ordinary one: without the search, its stages as the point says.

    Where the final stage or the baseline is off, the stage before it stands in.
    """
    varied = pipeline
    for dimension in dimensions(pipeline):
        if dimension.path in values:
            varied = with_value(varied, dimension, values[dimension.path])
    content = varied.as_dict()
    content.pop("search", None)
    given = {"baseline": varied.baseline, "final": (varied.final,) if varied.final else ()}
    for key, ids in given.items():
        standing = [id for id in dict.fromkeys(_standing_in(varied, id) for id in ids) if id]
        content.pop(key, None)
        if standing:
            content[key] = standing if len(standing) > 1 else standing[0]
    return Pipeline.parse({**content, **({"name": name} if name else {})})


def as_written(pipeline: Pipeline) -> dict[str, Value] | None:
    """The point at which the file itself stands; None where it lies outside of what is free."""
    point: dict[str, Value] = {}
    for dimension in dimensions(pipeline):
        if matters(pipeline, dimension):
            value = value_of(pipeline, dimension.path)
            if not dimension.holds(value):
                return None
            point[dimension.path] = value
    return point


def varying(pipeline: Pipeline) -> set[str]:
    """Ids of the stages that differ between points, or continue or learn from one that does; other stages are shared."""
    search = pipeline.search
    if search is None:
        return set()
    touched = {dimension.node for dimension in dimensions(pipeline) if dimension.node}
    touched |= {id for ids in search.slots.values() for id in ids if id is not None}
    for node in pipeline.stages:
        needs = {pipeline.written_parent(node), *node.stage.references(node.parameters).values()}
        if needs & touched:
            touched.add(node.id)
    return touched & set(pipeline.stage_ids)


def needed(pipeline: Pipeline) -> list[StageNode]:
    """The active stages that the final one is made from, in the order of the file."""
    wanted, waiting = set[str](), [pipeline.final_id]
    while waiting:
        id = waiting.pop()
        if id in wanted or id not in pipeline.stage_ids:
            continue
        wanted.add(id)
        node = pipeline.stage(id)
        waiting += [pipeline.parent(node), *node.stage.references(node.parameters).values()]
    return [node for node in pipeline.active if node.id in wanted]


def in_words(dimension: Dimension, value: Value) -> str:
    """A value for people."""
    if isinstance(value, bool):
        return "on" if value else "off"
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return f"{text} {dimension.unit}".strip()


def _spelled(value: Value) -> Value:
    return str(value).lower() if isinstance(value, bool) else value


def _same(value: Any, other: Any) -> bool:
    if isinstance(value, bool) or isinstance(other, bool):
        return value is other
    if isinstance(value, int | float) and isinstance(other, int | float):
        return abs(value - other) <= 1e-9 * max(1.0, abs(other))
    return bool(value == other)


def _switched(pipeline: Pipeline, switches: Mapping[str, bool]) -> Pipeline:
    nodes = (
        node.model_copy(update={"enabled": switches[node.id]}) if node.id in switches else node
        for node in pipeline.stages
    )
    return pipeline.model_copy(update={"stages": tuple(nodes)})


def _standing_in(pipeline: Pipeline, id: str) -> str:
    """The stage itself where it is on, else the nearest before it that is; "" where none is."""
    for node in _upwards(pipeline, id):
        if node.enabled:
            return node.id
    return ""


def _upwards(pipeline: Pipeline, id: str) -> Iterator[StageNode]:
    while id in pipeline.stage_ids:
        node = pipeline.stage(id)
        yield node
        id = pipeline.written_parent(node)
