"""Where a problem of a document is, in the words that people know its parts by."""

from core.common.declarations import declarations
from core.common.errors import Problem
from core.document.edits import titles
from core.document.pipeline import Pipeline, settings_class


def place_in_words(problem: Problem, pipeline: Pipeline) -> str:
    """Where a problem is: "Distilled › Teacher"."""
    place = list(problem.place)
    if not place:
        return "The pipeline"
    if place[0] == "data":
        return " › ".join(["Data", *map(str, place[1:])])
    if place[0] in ("sources", "stages") and len(place) > 1 and isinstance(place[1], int):
        nodes = pipeline.sources if place[0] == "sources" else pipeline.stages
        node = nodes[place[1]]
        words = [titles(pipeline)[node.id]]
        rest = [part for part in place[2:] if part not in ("settings", "kind", "from")]
        try:
            model = settings_class(node)
        except KeyError:
            return words[0]
        for part in rest:
            field = next((f for f in declarations(model) if f.name == part), None)
            words.append(field.label if field else str(part))
            if field is None or field.group is None:
                break
            model = field.group
        return " › ".join(words)
    return str(place[0]).capitalize()
