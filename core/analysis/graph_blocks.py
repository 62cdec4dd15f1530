"""Blocks of a network's graph, folded and unfolded, and their places in a picture."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.analysis import network_graph
from core.analysis.network_graph import NetworkGraph, Unit
from core.machine.jobs import JobContext, quick

_SHOWN_FIRST = 45  # nodes: blocks are unfolded while no more are to be seen
_SIDE, _LINE, _LEAST = 14.0, 17.0, 84.0  # of a node: margin, height of a line, width; in pixels
_SPACING = {"layer_gap": 26.0, "node_gap": 22.0, "dummy_gap": 16.0, "isolated_gap": 22.0}


@dataclass(frozen=True, slots=True)
class Shown:
    """A node of the picture: one operation, or a folded block.

    Attributes:
        members: ids of the operations that it stands for. paths: of these, each once.
        inside: path of the innermost unfolded block that it lies in, "" for none.
    """

    id: str
    title: str
    about: str
    block: bool
    members: tuple[str, ...]
    paths: tuple[str, ...] = ()
    inside: str = ""


def blocks(graph: NetworkGraph) -> dict[str, tuple[str, ...]]:
    """By path, the operations of every block, the outer blocks first: two at least, and not the whole network.

    One module that is used in several places (an activation) is no block.
    """
    members: dict[str, list[str]] = {}
    inside = [unit for unit in graph.units if unit.path]
    for unit in inside:
        for path in _beginnings(unit.path):
            members.setdefault(path, []).append(unit.id)
    whole = len(inside)
    paths, neighbours = {unit.id: unit.path for unit in inside}, _neighbours(graph)
    found = {
        path: tuple(ids) for path, ids in members.items()
        if 1 < len(ids) < whole and (any(paths[id] != path for id in ids) or _connected(ids, neighbours))
    }  # fmt: skip
    doubled = {
        path for path, ids in found.items()
        if any(found.get(outer) == ids for outer in _beginnings(path) if outer != path)
    }  # fmt: skip
    return {
        path: ids for path, ids in sorted(found.items(), key=lambda e: e[0].count(".")) if path not in doubled
    }


def _neighbours(graph: NetworkGraph) -> dict[str, set[str]]:
    neighbours: dict[str, set[str]] = {}
    for first, second in graph.edges:
        neighbours.setdefault(first, set()).add(second)
        neighbours.setdefault(second, set()).add(first)
    return neighbours


def _connected(ids: Sequence[str], neighbours: Mapping[str, set[str]]) -> bool:
    """Whether operations hang together without others between them."""
    members, reached, waiting = set(ids), {ids[0]}, [ids[0]]
    while waiting:
        for other in neighbours.get(waiting.pop(), set()) & members - reached:
            reached.add(other)
            waiting.append(other)
    return len(reached) == len(members)


def first_open(graph: NetworkGraph, most: int = _SHOWN_FIRST) -> tuple[str, ...]:
    """Blocks that are unfolded to begin with: the largest first, while no more than `most` nodes are to be seen."""
    opened: list[str] = []
    candidates = sorted(blocks(graph).items(), key=lambda entry: (entry[0].count("."), -len(entry[1])))
    for path, _ids in candidates:
        if len(visible(graph, [*opened, path])) > most:
            continue
        opened.append(path)
    return tuple(opened)


def visible(graph: NetworkGraph, opened: Collection[str]) -> list[Shown]:
    """What is to be seen while these blocks are unfolded, in the order of running."""
    known, unfolded = blocks(graph), set(opened)
    members: dict[str, list[Unit]] = {}
    for unit in graph.units:
        folded = next(
            (path for path in _beginnings(unit.path) if path in known and path not in unfolded), None
        )
        members.setdefault(f"block:{folded}" if folded is not None else unit.id, []).append(unit)
    return [_shown(id, units, known) for id, units in members.items()]


def edges_between(graph: NetworkGraph, nodes: Sequence[Shown]) -> list[tuple[str, str]]:
    """What flows between the visible nodes; what stays within a block is not shown."""
    places = {member: node.id for node in nodes for member in node.members}
    pairs = ((places[first], places[second]) for first, second in graph.edges)
    return list(dict.fromkeys((first, second) for first, second in pairs if first != second))


def _beginnings(path: str) -> list[str]:
    """ "a.b.c" → "a", "a.b", "a.b.c"."""
    parts = path.split(".") if path else []
    return [".".join(parts[: count + 1]) for count in range(len(parts))]


def _short(path: str) -> str:
    """The end of a path; a number alone ("downsample.0") says nothing."""
    parts = path.split(".")
    return ".".join(parts[-2:] if parts[-1].isdigit() else parts[-1:])


def _shown(id: str, units: list[Unit], known: Collection[str]) -> Shown:
    path = id.removeprefix("block:") if id.startswith("block:") else units[0].path
    around = [each for each in _beginnings(path) if each in known and f"block:{each}" != id]
    inside, paths = around[-1] if around else "", tuple(dict.fromkeys(unit.path for unit in units))
    if not id.startswith("block:"):
        unit = units[0]
        name = _short(unit.path) if unit.params else ""
        return Shown(
            id,
            unit.kind,
            " · ".join(part for part in (name, unit.shape) if part),
            False,
            (id,),
            paths,
            inside,
        )
    operations = len(units)
    return Shown(id, path, f"{operations} operations", True, tuple(unit.id for unit in units), paths, inside)


# a picture, in a process of its own: reading and laying out hold the interpreter


@lru_cache(maxsize=6)
def _read(path: Path, changed: int) -> NetworkGraph:
    """Read once for each state of a file."""
    return network_graph.read(path)


@quick
def picture(arguments: dict[str, Any], context: JobContext) -> dict[str, Any]:
    """Job: the nodes and lines of one file's graph, each with its place.

    Args (as plain data): model, .onnx file; other, the file that it is compared with, or ""; is_before,
        whether the other came later; opened, paths of
        the unfolded blocks, or None for those that are unfolded to begin with; character, the mean width of
        one in pixels; line, the height of a line of text.

    Returns: units (`NetworkGraph.as_plain`), opened, blocks (paths), nodes ({id, title, about, block, members, x, y, width,
        height}), lines (points), size, and changes: for each unit what became of it.

    Raises:
        EspalierError: when the file cannot be read.
    """
    context(0.0, "Reading the network")
    graph = _of(arguments["model"])
    opened = arguments["opened"]
    opened = first_open(graph) if opened is None else tuple(opened)
    nodes = visible(graph, opened)
    context(0.5, "Laying out the graph")
    placed = lay_out(nodes, edges_between(graph, nodes), arguments["character"], arguments["line"])
    changed: Mapping[str, str] = {}
    if arguments["other"]:
        other = _of(arguments["other"])
        first, second = (graph, other) if arguments["is_before"] else (other, graph)
        old, new = network_graph.changes(first, second)
        changed = old if arguments["is_before"] else new
    keys = network_graph.keys(graph)
    return {
        **placed, "units": graph.as_plain()["units"], "opened": list(opened), "blocks": list(blocks(graph)),
        "changes": dict(changed), "keys": keys,
    }  # fmt: skip


def _of(name: str) -> NetworkGraph:
    path = Path(name)
    return _read(path, path.stat().st_mtime_ns if path.exists() else 0)


def lay_out(
    nodes: Sequence[Shown], edges: Sequence[tuple[str, str]], character: float = 7.0, line: float = _LINE
) -> dict[str, Any]:
    """Places from top to bottom: nodes with x, y (their middle), width, height; lines as points; the size of all."""
    import graphlay

    graph = graphlay.Graph()
    sizes = {}
    for node in nodes:
        letters = max(len(node.title), 0.9 * len(node.about))
        width = max(_LEAST, letters * character + 2 * _SIDE)
        sizes[node.id] = width, (2.0 if node.about else 1.0) * line + _SIDE
        graph.node(node.id, width=sizes[node.id][0], height=sizes[node.id][1])
    for first, second in edges:
        graph.edge(first, second)
    drawing = graphlay.layout(graph, options={
        "direction": "topbottom", "spacing": _SPACING, "effort": "fast",
    })  # fmt: skip
    places = drawing.positions()
    bounds = drawing.bounds
    return {
        "nodes": [
            {
                "id": node.id, "title": node.title, "about": node.about, "block": node.block,
                "members": list(node.members), "paths": list(node.paths), "inside": node.inside, "x": places[node.id][0], "y": places[node.id][1],
                "width": sizes[node.id][0], "height": sizes[node.id][1],
            }
            for node in nodes
        ],
        "lines": [
            {"from": edges[number][0], "to": edges[number][1],
             "points": [[point["x"], point["y"]] for point in edge["points"]]}
            for number, edge in enumerate(drawing.edges)
        ],
        "bounds": bounds,
    }  # fmt: skip
