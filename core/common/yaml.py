"""Safe YAML with line numbers, by the core schema of YAML 1.2.

PyYAML alone reads YAML 1.1, where `no` is false and `5e-5` a string. Here only true/false are
booleans, `5e-5` is a number, tags and duplicate keys are refused, and every key's line is known.
What a short text could blow up (aliases of aliases, deep nesting, numbers of a million digits) has bounds, so that
a file from anybody is read in a moment or refused in a sentence.
"""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from core.common.errors import Problem
from core.common.shown_text import shortened

Place = tuple[str | int, ...]

MOST_CHARACTERS = 8_000_000
MOST_PLACES = 200_000  # values and groups in one document, with what its aliases repeat
DEEPEST = 50  # groups within groups
_LONGEST_NUMBER = 100  # characters

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
    value = _FORBIDDEN.sub("", value)  # which could not be read again; it comes from pasted text
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
        tags = _look_through(text, parsed)
        node = None if parsed.problems else yaml.compose(text, _Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        advice = "Check indentation, colons and quotes."
        parsed.problems.append(
            Problem(f"Expected YAML, received something else: {error.problem}.", advice, (), line)
        )
        return parsed
    if node is not None:
        try:
            parsed.content = _Builder(parsed, tags).build(node, ())
        except _TooMuch as reason:
            parsed.content = None
            parsed.problems.append(reason.problem)
    return parsed


_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
"""Characters that YAML allows nowhere, and here not by their number in quotes either: `"\\0"`."""


def _look_through(text: str, parsed: Parsed) -> dict[int, str]:
    """Find out, before anything is built of a document, whether it keeps the bounds; gives its tags by their places."""
    if len(text) > MOST_CHARACTERS:
        message = f"Expected at most {MOST_CHARACTERS} characters, received {len(text)}."
        parsed.problems.append(Problem(message, "Choose another file.", (), 1))
        return {}
    if found := _FORBIDDEN.search(text):
        parsed.problems.append(_forbidden(found[0], (), text.count("\n", 0, found.start()) + 1))
        return {}
    tags: dict[int, str] = {}
    depth = 0
    for number, event in enumerate(yaml.parse(text, _Loader)):
        mark = event.start_mark
        assert mark is not None
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            message = f"Expected groups at most {DEEPEST} deep, received deeper ones."
            parsed.problems.append(Problem(message, "Take some apart.", (), mark.line + 1))
            break
        if number > 2 * MOST_PLACES:
            parsed.problems.append(_too_many(mark.line + 1))
            break
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag:
            tags[mark.index] = event.tag
    return tags


def _forbidden(character: str, place: Place, line: int) -> Problem:
    message = f"Expected text, received the control character U+{ord(character):04X}."
    return Problem(message, "Remove it.", place, line)


def _tagged(tag: str, place: Place, line: int) -> Problem:
    return Problem(f"Expected plain data, received the tag {tag}.", "Remove the tag.", place, line)


def _too_many(line: int) -> Problem:
    message = f"Expected at most {MOST_PLACES} values, received more."
    return Problem(message, "Take values out, or aliases (*) that repeat others many times.", (), line)


class _TooMuch(Exception):
    """The document holds more than is read; `problem` says what."""

    def __init__(self, problem: Problem):
        super().__init__(problem.message)
        self.problem = problem


class _Builder:
    """Makes plain data of nodes. An alias gives what it repeats once more, so places are counted."""

    def __init__(self, parsed: Parsed, tags: dict[int, str]):
        self.parsed = parsed
        self._tags = tags
        self._places = 0
        self._open: set[int] = set()

    def build(self, node: yaml.Node, place: Place) -> Any:
        line = node.start_mark.line + 1
        self._places += 1
        if self._places > MOST_PLACES:
            raise _TooMuch(_too_many(line))
        if id(node) in self._open:
            message = "Expected plain data, received an alias (*) that stands within what it repeats."
            raise _TooMuch(Problem(message, "Remove the alias.", place, line))
        self.parsed.lines.setdefault(place, line)
        if tag := self._tags.get(node.start_mark.index):
            self.parsed.problems.append(_tagged(tag, place, line))
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, place)
            if isinstance(node, yaml.SequenceNode):
                return [self.build(item, (*place, index)) for index, item in enumerate(node.value)]
            return _scalar(node, place, self.parsed)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                kind = "a list" if isinstance(key_node, yaml.SequenceNode) else "a mapping"
                problem = Problem(
                    f"Expected a name before the colon, received {kind}.", "Write a name.", place, line
                )
                self.parsed.problems.append(problem)
                continue
            key = key_node.value
            self._check_key(key_node, place)
            item_place = (*place, key)
            if key in result:
                problem = Problem(
                    f"The key {shortened(key)} stands here twice.", "Remove one of the two.", item_place, line
                )
                self.parsed.problems.append(problem)
            self.parsed.lines[item_place] = line
            result[key] = self.build(value_node, item_place)
        return result

    def _check_key(self, node: yaml.ScalarNode, place: Place) -> None:
        line = node.start_mark.line + 1
        if tag := self._tags.get(node.start_mark.index):
            self.parsed.problems.append(_tagged(tag, place, line))
        if found := _FORBIDDEN.search(node.value):
            self.parsed.problems.append(_forbidden(found[0], place, line))


def _scalar(node: yaml.Node, place: Place, parsed: Parsed) -> Any:
    assert isinstance(node, yaml.ScalarNode)
    line = node.start_mark.line + 1
    if found := _FORBIDDEN.search(node.value):
        parsed.problems.append(_forbidden(found[0], place, line))
    if not node.tag.endswith(":str") and len(node.value) > _LONGEST_NUMBER:
        message = f"Expected a number of at most {_LONGEST_NUMBER} digits, received {len(node.value)} digits."
        parsed.problems.append(Problem(message, "Write a shorter one.", place, line))
        return None
    match node.tag.removeprefix("tag:yaml.org,2002:"):
        case "bool":
            return node.value.lower() == "true"
        case "null":
            return None
        case "int":
            return int(node.value)
        case "float":
            return float(node.value.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return node.value


def dump(content: Any) -> str:
    """YAML text that `parse` reads back as the same content."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
