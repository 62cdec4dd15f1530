"""The page's beginning, for somebody who was not there: a sentence, a few figures, images, classes; as HTML."""

from collections.abc import Sequence
from html import escape

from core.comparison.changed_images import ClassChange, Evidence, Flip
from core.comparison.headline import Headline, Tile

_CLASSES_SHOWN = 10


def lead(parts: Sequence[tuple[str, Headline, Evidence | None]]) -> list[str]:
    """One section for each run that has a result: its name (empty where there is one run), figures, evidence."""
    html: list[str] = []
    for name, headline, evidence in parts:
        html += [f"<h2>{escape(name)}</h2>"] if name else []
        html.append(f'<p class="headline">{escape(headline.sentence)}</p>')
        html.append(f'<p class="muted">{escape(headline.about)}</p>')
        html.append(f'<div class="tiles">{"".join(map(_tile, headline.tiles))}</div>')
        html += _evidence(evidence) if evidence is not None else []
    return html


def _tile(tile: Tile) -> str:
    interval = f'<small class="muted">{escape(tile.interval)}</small>' if tile.interval else ""
    change = f'<span class="change {tile.verdict}">{escape(tile.change)}</span>' if tile.change else ""
    return (
        f'<div class="tile"><span class="muted">{escape(tile.label)}</span><b>{escape(tile.after)}</b>{interval}'
        f'<span class="muted">before: {escape(tile.before)}</span>{change}</div>'
    )


def _evidence(evidence: Evidence) -> list[str]:
    html = ["<h2>Images that turned</h2>", f"<p>{escape(evidence.sentence)}</p>"]
    for lost, words in ((True, "Right before, wrong now"), (False, "Wrong before, right now")):
        flips = [flip for flip in evidence.flips if flip.lost == lost]
        if flips:
            html.append(f'<h3>{words}</h3><div class="strip">{"".join(map(_flip, flips))}</div>')
    html += [f'<p class="muted">{escape(evidence.missing)}</p>'] if evidence.missing else []
    return html + _classes(evidence.classes)


def _flip(flip: Flip) -> str:
    words = f"{flip.name}: {flip.true}"
    picture = f'<img src="{flip.picture}" alt="{escape(words)}">' if flip.picture else ""
    return (
        f"<figure>{picture}<figcaption><b>{escape(flip.true)}</b><span>{escape(flip.before)} → {escape(flip.after)}</span>"
        f'<small class="muted">{escape(flip.name)}</small></figcaption></figure>'
    )


def _classes(classes: Sequence[ClassChange]) -> list[str]:
    if not classes:
        return []
    shown = classes[:_CLASSES_SHOWN]
    html = ["<h2>Class by class</h2>", _class_table(shown)]
    if len(classes) > len(shown):
        rest = _class_table(classes[_CLASSES_SHOWN:])
        html.append(f"<details><summary>{len(classes) - len(shown)} more classes</summary>{rest}</details>")
    html.append('<p class="muted">Share of the images of a class that are answered right; those that lost most stand first. '
                "Few images of a class make its figure rough.</p>")  # fmt: skip
    return html


def _class_table(classes: Sequence[ClassChange]) -> str:
    head = "".join(f"<th>{words}</th>" for words in ("Class", "Images", "Before", "Now", "Change"))
    rows = "".join(
        f"<tr><td>{escape(one.name)}</td><td>{one.images}</td><td>{one.before:.1f} %</td><td>{one.after:.1f} %</td>"
        f'<td><span class="bar {"worse" if one.change < 0 else "better"}" style="width: {min(100.0, abs(one.change)):.0f}px">'
        f"</span>{_signed(one.change)}</td></tr>"
        for one in classes
    )
    return f'<div class="card"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _signed(points: float) -> str:
    return f"{'+' if points > 0 else '−' if points < 0 else '±'}{abs(points):.1f}"
