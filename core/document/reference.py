"""The reference of everything that a pipeline file can contain, generated from the declarations.

`espalier reference` prints it; `docs/reference.md` is that text, and a test holds the two equal.
"""

import inspect
import sys
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from core.common.declarations import ParameterDeclaration, declarations
from core.common.params import Params
from core.data.catalogue import SOURCES
from core.data.settings import DataSettings
from core.document.search import Budget
from core.models.catalogue import BACKBONES
from core.records.metrics import METRICS
from core.sources.catalogue import SOURCE_KINDS
from core.stages.catalogue import STAGES
from core.training.settings import TrainingSettings

_HEAD = """\
# Reference

Made from the declarations by `espalier reference`; do not edit. Every stage's settings, the data, the networks and
the metrics, with units, bounds and defaults. `training` stands for the settings of
[training](#training); a stage names only where its defaults differ.
"""

_PRESETS = """\
### Training presets

What the form's *Fill in* writes, the other settings staying as they are.
"""

_SEARCH = """\
The section `search` of a pipeline: `free`, `slots`, `objectives`, `limits` and `seeds` are explained in the
[guide](guide.md#searching-with-limits); objectives and limits are of the [metrics](#metrics) that say which way is better.
"""


def reference() -> str:
    """The whole reference as Markdown."""
    parts = [_HEAD, "## Stages", *_stages(), "## Training", _text(TrainingSettings), _table(TrainingSettings)]
    parts += [_PRESETS, *_presets()]
    parts += ["## Data", _table(DataSettings), "### Data sets", *_sources(), "## Sources"]
    for kind, source in SOURCE_KINDS.items():
        parts += [f"### `{kind}`", _text(source.Settings), _table(source.Settings)]
    parts += ["## Search", _SEARCH, _table(Budget)]
    parts += ["## Networks", _networks(), "## Metrics", _metrics()]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def _stages() -> Iterator[str]:
    group = ""
    for stage in STAGES.values():
        if stage.group != group:
            group = stage.group
            yield f"### {group}"
        module = sys.modules[type(stage).__module__]
        yield f"#### `{stage.id}` · {stage.title}"
        yield stage.help
        yield inspect.getdoc(module) or ""
        yield _table(stage.Settings) or "No settings."


def _presets() -> Iterator[str]:
    for preset in TrainingSettings.presets:
        values = ", ".join(f"{name}: {_shown(value)}" for name, value in preset.values.items())
        yield f"**{preset.title}.** {preset.help}\n\n```yaml\ntraining: {{{values}}}\n```"


def _sources() -> Iterator[str]:
    yield "\n".join(
        ["| `source` | | `path` |", "|---|---|---|"]
        + [f"| `{source.id}` | {source.help} | {source.path_kind} |" for source in SOURCES.values()]
    )


def _networks() -> str:
    lines = ["| `backbone` | | made for | from |", "|---|---|---|---|"]
    for backbone in BACKBONES.values():
        lines.append(
            f"| `{backbone.id}` | {backbone.title}: {backbone.help} | {backbone.image_size} px | {backbone.smallest} px |"
        )
    return "\n".join(lines)


def _metrics() -> str:
    lines = ["| | unit | better | |", "|---|---|---|---|"]
    for kind in METRICS.values():
        unit = kind.shown_unit or kind.unit
        lines.append(f"| {kind.label} (`{kind.id}`) | {unit} | {kind.better} | {kind.help} |")
    return "\n".join(lines)


def _text(model: type[BaseModel]) -> str:
    return inspect.getdoc(model) or ""


def _table(model: type[Params], prefix: str = "") -> str:
    """The settings of a declaration; groups are written out with their name in front."""
    rows = list(_rows(model, prefix, None))
    if not rows:
        return ""
    return "\n".join(["| Setting | Default | Bounds | |", "|---|---|---|---|", *rows])


def _rows(model: type[Params], prefix: str, default: BaseModel | None) -> Iterator[str]:
    for field in declarations(model):
        group_default = field.default if isinstance(field.default, BaseModel) else None
        name = f"{prefix}{field.name}"
        if field.group is TrainingSettings and model is not TrainingSettings:
            yield f"| `{name}` | {_differences(group_default)} | | {_cell(field)} See [training](#training). |"
        elif field.group is not None:
            yield from _rows(field.group, f"{name}.", group_default)
        else:
            value = field.default if default is None else getattr(default, field.name)
            default_text = "to be given" if field.required and default is None else _default(value)
            yield f"| `{name}` | {default_text} | {_bounds(field)} | {_cell(field)} |"


def _differences(default: BaseModel | None) -> str:
    if default is None:
        return ""
    base = TrainingSettings()
    differing = [f"{n}: {_shown(v)}" for n, v in default if v != getattr(base, n)]
    return f"`{{{', '.join(differing)}}}`" if differing else "as there"


def _cell(field: ParameterDeclaration) -> str:
    text = f"**{field.label}.** {field.help}"
    text += "".join(f"<br>`{name}`: {sentence}" for name, sentence in field.choices)
    return text.replace("|", "\\|").replace("\n", " ")


def _default(value: Any) -> str:
    return "" if value in ("", None) else f"`{_shown(value)}`"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _bounds(field: ParameterDeclaration) -> str:
    if field.kind == "choice":
        return ""
    bounds = []
    if field.low is not None:
        bounds.append(f"{'>' if field.open_low else '≥'} {field.low:g}")
    if field.high is not None:
        bounds.append(f"{'<' if field.open_high else '≤'} {field.high:g}")
    return f"{', '.join(bounds)} {field.unit}".strip()
