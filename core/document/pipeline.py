"""The document: a forest of stages over a data set. What the editor edits and the engine runs.

A pipeline file is YAML, versioned by its first key. Loading finds every problem, with line, expectation and what
was received; loading, saving and loading again gives the same document.
"""

import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from core.common import yaml
from core.common.errors import EspalierError, Problem
from core.common.regular_files import in_words as in_words_of
from core.common.regular_files import read_text
from core.common.shown_text import shortened, some_of
from core.common.validation_messages import in_words, kind_of
from core.document.model import (
    FORMAT,
    Axes,
    BackboneAxis,
    DataAxis,
    Grid,
    Node,
    Pipeline,
    SourceNode,
    StageNode,
    is_path,
    settings_class,
)
from core.document.rules import check

__all__ = [
    "FORMAT", "Axes", "BackboneAxis", "DataAxis", "Grid", "Node", "Pipeline", "PipelineError", "SourceNode", "StageNode", "check", "dumps", "is_path",
    "load", "loads", "settings_class", "validate",
]  # fmt: skip

_LARGEST_FILE = 32_000_000  # bytes
_PROBLEMS_SHOWN = 30
_LONGEST_KEY = 40  # characters that are shown of one
_OWN_KEYS = re.compile(r"""\b(?:espalier|stages)["']?\s*:""")


class PipelineError(EspalierError):
    """A document that cannot be used; `problems` are all that was found, in the file's order."""

    def __init__(self, problems: list[Problem], name: str = "The pipeline"):
        count = f"{len(problems)} problems" if len(problems) > 1 else "a problem"
        lines = [f"  {problem}" for problem in problems[:_PROBLEMS_SHOWN]]
        if len(problems) > _PROBLEMS_SHOWN:
            lines.append(f"  and {len(problems) - _PROBLEMS_SHOWN} more.")
        super().__init__(f"{name} has {count}:\n" + "\n".join(lines))
        self.problems = problems


class NotAPipelineError(PipelineError):
    """A file that nobody meant as a pipeline."""

    def __init__(self, received: str, name: str):
        problem = Problem(
            f"Expected YAML text that begins with 'espalier: {FORMAT}' and lists stages, received {received}.",
            "Choose a file that Espalier has saved (its name ends in .espalier.yaml), or begin with a recipe: "
            "the window lists them under Start, the command 'espalier recipes' in a terminal.",
            line=1,
        )
        super().__init__([problem], name)
        self.message = f"{name} is not a pipeline file of Espalier. {problem.message}"
        self.advice = problem.advice


def load(path: Path) -> Pipeline:
    """The pipeline in a file.

    Raises:
        PipelineError: with every problem and its line; a `NotAPipelineError` where it is something else.
        EspalierError: when the file cannot be read.
    """
    try:
        text = read_text(path, _LARGEST_FILE)
    except UnicodeDecodeError as error:
        if not _OWN_KEYS.search(error.object.replace(b"\0", b"").decode("latin-1")):
            raise NotAPipelineError("bytes that are no text", path.name) from error
        raise EspalierError(
            f"Expected text in UTF-8 in the pipeline file {path}, received byte {error.object[error.start]:#04x} "
            f"at place {error.start}.",
            "Save it in UTF-8.",
        ) from error
    except OSError as error:
        raise EspalierError(
            f"The pipeline file {path} cannot be read: {in_words_of(error)}.",
            "Check the path and pick a .yaml file.",
        ) from error
    return loads(text, path.name)


def loads(text: str, name: str = "The pipeline") -> Pipeline:
    """The pipeline in a YAML text; raises `PipelineError`."""
    parsed = yaml.parse(text)
    if not _OWN_KEYS.search(text):
        raise NotAPipelineError(_kind_of_text(text, parsed.content), name)
    problems = list(parsed.problems)
    pipeline = None
    if not problems:
        problems, pipeline = validate(parsed.content)
    if problems or pipeline is None:
        problems = [Problem(p.message, p.advice, p.place, p.line or parsed.line(p.place)) for p in problems]
        raise PipelineError(sorted(problems, key=lambda p: p.line), name)
    return pipeline


def dumps(pipeline: Pipeline) -> str:
    """The pipeline as YAML text."""
    return yaml.dump(pipeline.as_dict())


def _kind_of_text(text: str, content: Any) -> str:
    """What a text is that is no pipeline; `content` is what YAML makes of it."""
    if not text.strip():
        return "an empty file"
    if isinstance(content, dict):
        return f"a mapping with the keys {some_of(str(key)[:_LONGEST_KEY] for key in content)}"
    if isinstance(content, list):
        return "a list"
    return f"a text that begins with {shortened(text.strip().splitlines()[0])}"


def validate(content: Any) -> tuple[list[Problem], Pipeline | None]:
    """Check plain data against the declarations and the rules between stages."""
    if not isinstance(content, dict):
        return [
            Problem(
                f"Expected a mapping with keys such as 'espalier', 'name', 'stages'; received {kind_of(content)}."
            )
        ], None
    version = content.get("espalier")
    if version != FORMAT or isinstance(version, bool):
        return [Problem(
            f"Expected 'espalier: {FORMAT}' (the format's version), received {shortened(version)}.",
            "A newer version of Espalier may have written this file." if isinstance(version, int) else "Add the line at the top.",
            ("espalier",) if "espalier" in content else (),
        )], None  # fmt: skip
    try:
        pipeline = Pipeline.parse(content)
    except ValidationError as error:
        return [_placed(problem, content) for problem in in_words(error)], None
    problems = check(pipeline)
    return problems, None if problems else pipeline


def _placed(problem: Problem, content: Any) -> Problem:
    """The problem at its place in the file, where what may be a list stands alone."""
    place: yaml.Place = ()
    for part in problem.place:
        if isinstance(part, int) and not isinstance(content, list):
            continue
        place = (*place, part)
        try:
            content = content[part]
        except (KeyError, IndexError, TypeError):
            content = None
    return Problem(problem.message, problem.advice, place, problem.line)
