"""Safe YAML with line numbers, by the core schema of YAML 1.2.

PyYAML alone reads YAML 1.1, where `no` is false and `5e-5` a string. Here only true/false are
booleans, `5e-5` is a number, tags and duplicate keys are refused, and every key's line is known.
"""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from core.common.errors import Problem

Place = tuple[str | int, ...]


if TYPE_CHECKING or not yaml.__with_libyaml__:
    from yaml import SafeLoader
else:  # ten times as fast
    from yaml import CSafeLoader as SafeLoader


class _Loader(SafeLoader):
    """SafeLoader with YAML 1.2's plain scalars."""

    yaml_implicit_resolvers: dict[str, Any] = {}


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes what the loader above would read as something else."""

    yaml_implicit_resolvers = {
        key: [
            *_Loader.yaml_implicit_resolvers.get(key, []),
            *yaml.SafeDumper.yaml_implicit_resolvers.get(key, []),
        ]
        for key in {*_Loader.yaml_implicit_resolvers, *yaml.SafeDumper.yaml_implicit_resolvers}
    }


def _represent_float(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    text = repr(value)
    if text in ("inf", "-inf", "nan"):
        text = text.replace("inf", ".inf").replace("nan", ".nan")
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


def _represent_text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(float, _represent_float)
_Dumper.add_representer(str, _represent_text)


@dataclass(slots=True)
class Parsed:
    """A document's content, the line (from 1) of every place in it, and what was wrong."""

    content: Any = None
    lines: dict[Place, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, place: Place) -> int:
        """The line of `place`, or of the nearest thing around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def parse(text: str) -> Parsed:
    """Read one YAML document; what is wrong comes back as problems, never as an exception."""
    parsed = Parsed()
    try:
        node = yaml.compose(text, _Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        parsed.problems.append(
            Problem(
                f"Expected YAML, received something else: {error.problem}.",
                "Check indentation, colons and quotes.",
                (),
                line,
            )
        )
        return parsed
    except yaml.YAMLError as error:
        parsed.problems.append(Problem(f"Expected YAML, received something else: {error}.", line=1))
        return parsed
    if node is not None:
        parsed.content = _build(node, (), parsed)
    return parsed


def _build(node: yaml.Node, place: Place, parsed: Parsed) -> Any:
    line = node.start_mark.line + 1
    parsed.lines.setdefault(place, line)
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else str(key_node.start_mark)
            item_place = (*place, key)
            if key in result:
                parsed.problems.append(
                    Problem(
                        f"The key {key!r} stands here twice.",
                        "Remove one of the two.",
                        item_place,
                        key_node.start_mark.line + 1,
                    )
                )
            parsed.lines[item_place] = key_node.start_mark.line + 1
            result[key] = _build(value_node, item_place, parsed)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*place, index), parsed) for index, item in enumerate(node.value)]
    return _scalar(node, place, parsed)


def _scalar(node: yaml.Node, place: Place, parsed: Parsed) -> Any:
    assert isinstance(node, yaml.ScalarNode)
    match node.tag.removeprefix("tag:yaml.org,2002:"):
        case "str":
            return node.value
        case "bool":
            return node.value.lower() == "true"
        case "null":
            return None
        case "int":
            return int(node.value)
        case "float":
            return float(node.value.replace(".inf", "inf").replace(".nan", "nan"))
    parsed.problems.append(
        Problem(
            f"Expected plain data, received the tag {node.tag}.",
            "Remove the tag.",
            place,
            node.start_mark.line + 1,
        )
    )
    return None


def dump(content: Any) -> str:
    """YAML text that `parse` reads back as the same content."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
