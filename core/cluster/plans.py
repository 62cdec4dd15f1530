"""What a cluster is asked to make: each stage of a pipeline as a plan, whose key is known before anything ran.

A plan is a pipeline of its own: the stage, all that it is made from, and the settings in full, without the names that a
person gave. So two pipelines that have a beginning in common ask for the same plans, and a cluster makes them once.
"""

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import core
from core.common.keys import make_key
from core.document import pipeline as documents
from core.document.edits import with_absolute_paths
from core.document.pipeline import Pipeline, StageNode
from core.engine.options import Options

_LIBRARIES = ("torch", "onnx", "onnxruntime")


@dataclass(frozen=True, slots=True)
class Plan:
    """One stage to make.

    Attributes:
        key: the same for whoever wants the same made.
        title: for people.
        document: the pipeline file whose last stage it is.
        needs: keys of the plans of all stages that it is made from, in the order of the document.
        options: how the machine is used, as plain data.
        ids: the stage's ids in the person's pipeline, by its ids in the document.
        seed: of the stage.
    """

    key: str
    title: str
    document: str
    needs: tuple[str, ...]
    options: dict[str, Any]
    ids: dict[str, str]
    seed: int

    @property
    def stage(self) -> str:
        """Id of the stage in the document."""
        return f"s{len(self.ids) - 1}"


def plans_of(pipeline: Pipeline, base: Path, options: Options) -> list[Plan]:
    """A plan for every stage and seed of a pipeline, each after those that it needs.

    Args:
        base: where the pipeline's relative paths start.
        options: with the device and the threads decided, for they may enter the stages' keys.
    """
    absolute = with_absolute_paths(pipeline.resolved(), base)
    plain = asdict(replace(options, measures=False))
    plans: dict[tuple[str, int], Plan] = {}
    for seed in absolute.axes.seed:
        for node in absolute.active:
            needed = _needed(absolute, node)
            document, ids = _document(absolute, [*needed, node], seed)
            parts = {
                "document": document, "options": plain, "files": _files(absolute, [*needed, node]),
                "espalier": core.__version__, "python": platform.python_version(),
                **{name: version(name) for name in _LIBRARIES},
            }  # fmt: skip
            needs = tuple(plans[one.id, seed].key for one in needed)
            many = f" (seed {seed})" if len(absolute.axes.seed) > 1 else ""
            plans[node.id, seed] = Plan(
                f"espalier-{make_key(parts)}", f"{node.title}{many}", document, needs, plain, ids, seed
            )
    return list(plans.values())


def _direct(pipeline: Pipeline, node: StageNode) -> set[str]:
    """Ids of the stages that a stage continues and refers to."""
    named = {pipeline.parent(node), *node.stage.references(node.parameters).values()}
    return named & set(pipeline.stage_ids)


def _needed(pipeline: Pipeline, node: StageNode) -> list[StageNode]:
    """All stages that a stage is made from, in the order of the file."""
    found: set[str] = set()
    waiting = [node]
    while waiting:
        for id in _direct(pipeline, waiting.pop()) - found:
            found.add(id)
            waiting.append(pipeline.stage(id))
    return [one for one in pipeline.active if one.id in found]


def _document(pipeline: Pipeline, nodes: Sequence[StageNode], seed: int) -> tuple[str, dict[str, str]]:
    """The pipeline of these stages alone, under ids and titles of its own, and which stage each is."""
    roots = list(dict.fromkeys(pipeline.root(node).id for node in nodes))
    names = {root: f"source{number}" for number, root in enumerate(roots)}
    names |= {node.id: f"s{number}" for number, node in enumerate(nodes)}
    content = pipeline.as_dict()
    sources = [{**_plain(content["sources"], root), "id": names[root], "name": ""} for root in roots]
    stages = []
    for node in nodes:
        entry = _plain(content["stages"], node.id)
        settings = dict(entry["settings"])
        for name, reference in node.stage.references(node.parameters).items():
            settings[name] = names.get(reference, reference)
        stages.append({
            "id": names[node.id], "kind": node.kind, "settings": settings, "from": names[pipeline.parent(node)],
        })  # fmt: skip
    plan = Pipeline.parse({
        "espalier": content["espalier"], "name": "A stage of a cluster", "data": content["data"], "sources": sources,
        "stages": stages, "axes": {"seed": [seed]},
    })  # fmt: skip
    return documents.dumps(plan), {names[node.id]: node.id for node in nodes}


def _plain(entries: Sequence[dict[str, Any]], id: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["id"] == id)


def _files(pipeline: Pipeline, nodes: Sequence[StageNode]) -> list[tuple[str, int, int]]:
    """Size and time of the files that the settings name: others under the same name are another plan."""
    content = [pipeline.data.model_dump(mode="json")]
    content += [pipeline.root(node).parameters.model_dump(mode="json") for node in nodes]
    content += [node.parameters.model_dump(mode="json") for node in nodes]
    found = set()
    for text in _texts(content):
        if Path(text).is_absolute() and Path(text).exists():
            about = Path(text).stat()
            found.add((text, about.st_size, about.st_mtime_ns))
    return sorted(found)


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [text for each in value for text in _texts(each)]
    return [value] if isinstance(value, str) else []
