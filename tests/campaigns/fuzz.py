"""Mutants of pipeline files and of command lines: each ends in a sentence or a result, in seconds, without a library's words.

    python tests/campaigns/fuzz.py --trials 500 --seed 1 [--only check|arguments|run] [--state FILE] [--minutes M]

Three in five trials check a mutant of a recipe or of the campaigns' own pipeline, a third give mutated arguments to a
command, both in this process; the rest run a mutant as a person would, and stop it after a while. Five minutes on two cores.
"""

import contextlib
import io
import os
import random
import re
import signal
import string
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from common import (
    PIPELINE,
    ROOT,
    Answer,
    Broken,
    Trial,
    campaign,
    end_group,
    options,
    prepare,
    require,
    start,
    work_folder,
)

SECONDS = 20  # that a check may take
RUN_SECONDS = 40  # after which a run is asked to stop
STOP_SECONDS = 60  # that it may take to do so
_VALUES = (
    "", "null", "true", "no", "-1", "0", "1", "0.5", "1e999", "-1e-999", ".nan", ".inf", "-.inf", "9" * 30, "9" * 5000,
    "0x10", "1_000", "'5'", "[]", "{}", "[1, 2]", "{a: 1}", "*a", "&a x", "!!int 5", "!x y", "|", ">", "~", "''", "'\"'",
    "../..", "/", "/dev/zero", "/etc/passwd", "~", "a/b", "C:\\x", "\\\\host\\x", "é", "猫", "\u202e", "\ufeff", "a: b",
    "- a", "# x", "%", "@a", "`a`", "x" * 3000, "resnet20", "timm:resnet18", "timm:", "python:abc", "cuda:99", "fp32",
    "2026-01-01", "1:30", "on", "yes", "Infinity", "NaN", "None", "[", "{", "}", "]", ",", ":", "\t",
)  # fmt: skip
_WORD = re.compile(r"[\w.+-]+")
Mutation = Callable[[str, random.Random], str]


# Mutations of a text


def _value(text: str, draw: random.Random) -> str:
    """Another value for a key."""
    places = list(re.finditer(r"(?<=: )[^\n{},\[\]]+", text))
    if not places:
        return text
    place = draw.choice(places)
    return text[: place.start()] + draw.choice(_VALUES) + text[place.end() :]


def _number(text: str, draw: random.Random) -> str:
    """Another number in place of one, often one that may stand there."""
    places = list(re.finditer(r"(?<=[ :\[])\d+(?:\.\d+)?(?=[\n,}\]])", text))
    if not places:
        return text
    place = draw.choice(places)
    other = draw.choice((0, 1, 2, 3, 7, 8, 16, 31, 33, 64, 100, 255, 1000, 0.1, 0.5, 0.999, 1e-9, 1e9))
    return text[: place.start()] + str(other) + text[place.end() :]


def _word(text: str, draw: random.Random) -> str:
    """Another word in place of one."""
    words = list(_WORD.finditer(text))
    place = draw.choice(words)
    other = draw.choice([draw.choice(words)[0], draw.choice(_VALUES)])
    return text[: place.start()] + other + text[place.end() :]


def _character(text: str, draw: random.Random) -> str:
    place = draw.randrange(len(text))
    kept = draw.choice((place, place + 1))
    return text[:place] + draw.choice([*string.printable, "\0", "\x1b", "é", "\u2028"]) + text[kept:]


def _lines(text: str, draw: random.Random) -> str:
    """A line removed, doubled, moved or indented otherwise."""
    lines = text.splitlines(keepends=True)
    one, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    match draw.randrange(4):
        case 0:
            del lines[one]
        case 1:
            lines.insert(other, lines[one])
        case 2:
            lines[one], lines[other] = lines[other], lines[one]
        case _:
            lines[one] = draw.choice((" ", "  ", "\t", "    ")) + lines[one]
    return "".join(lines)


def _piece(text: str, draw: random.Random) -> str:
    """A piece cut out, or doubled elsewhere."""
    first = draw.randrange(len(text))
    last = min(len(text), first + draw.randrange(1, 200))
    if draw.random() < 0.5:
        return text[:first] + text[last:]
    place = draw.randrange(len(text))
    return text[:place] + text[first:last] + text[place:]


def _cut(text: str, draw: random.Random) -> str:
    return text[: draw.randrange(len(text))]


_MUTATIONS: tuple[Mutation, ...] = (
    *[_value] * 8,
    *[_number] * 4,
    *[_word] * 4,
    _character,
    _lines,
    _lines,
    _piece,
    _cut,
)


def mutant(text: str, draw: random.Random) -> str:
    """The text after one to three mutations."""
    for _ in range(draw.randint(1, 3)):
        text = draw.choice(_MUTATIONS)(text, draw) or text
    return text


# The trials


class _TooLong(BaseException):
    """A command in this process takes longer than it may."""


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def ring(number: int, frame: object) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def in_this_process(*words: str) -> Answer:
    """The answer of a command that starts no process."""
    from core.commands.main import main

    out, err, started = io.StringIO(), io.StringIO(), time.monotonic()
    status: int | None
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _limited(SECONDS):
            status = main(list(words))
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 2
    except _TooLong:
        status = None
    return Answer(status, out.getvalue(), err.getvalue(), time.monotonic() - started)


def check(texts: list[str], folder: Path, draw: random.Random) -> str:
    """Check a mutant."""
    file = folder / "mutant.yaml"
    file.write_bytes(mutant(draw.choice(texts), draw).encode("utf-8", "surrogatepass"))
    return _in_words(in_this_process("check", str(file), "--no-estimate").check(0, 2))


_COMMANDS = (
    "check quick-tour --no-estimate --threads 1 --device cpu", "check quick-tour --core-watts 5 --no-estimate",
    "runs --find a b --json", "runs rename prepared b", "runs tag prepared b --remove", "runs delete a", "runs restore a",
    "compare prepared --format csv --columns top1,size_mb --baseline fp32", "compare prepared prepared --out x/y", "attach prepared --do stop",
    "export a --stage s --out m.onnx --batch 1 --opset 17 --format onnx", "run quick-tour --resume --out x --threads -1",
    "run nothing --out x", "verify m.onnx --data d --size 32 --mean 0.5 --std 0.5", "profile m.onnx --threads 1 --batch 1",
    "trust n.py", "recipes", "reference", "coverage --methods x --backbones y", "weights nothing", "data nothing --to x",
)  # fmt: skip
_STARTS = {
    "run",
    "weights",
    "data",
    "coverage",
    "doctor",
}  # what may go on for long, or download, once it is right


def arguments(folder: Path, draw: random.Random) -> str:
    """Mutated arguments of a command; it finds one run to work with."""
    words = draw.choice(_COMMANDS).split()
    for _ in range(draw.randint(1, 2)):
        place = draw.randrange(1, len(words) + 1)
        other = draw.choice(
            [
                draw.choice(_VALUES),
                draw.choice(draw.choice(_COMMANDS).split()),
                "".join(draw.choices(string.printable, k=5)),
            ]
        )
        words[place : place + (draw.random() < 0.8)] = [other]
    if words[0] in _STARTS:
        words.append("--" + "".join(draw.choices(string.ascii_lowercase, k=6)))  # so that it never begins
    with contextlib.chdir(folder):
        answer = in_this_process(*words)
    return f"{' '.join(words)[:50]!r}: {_in_words(answer.check())}"


def run(folder: Path, draw: random.Random) -> str:
    """Run a mutant; what would go on for long is asked to stop."""
    file = folder / "mutant.yaml"
    for _ in range(300):  # one that the check lets through, where there is one
        file.write_text(mutant(PIPELINE, draw), encoding="utf-8")
        if in_this_process("check", str(file), "--no-estimate").status == 0:
            break
    process = start(folder / "home", "run", file, "--threads", 1, "--out", folder / "out")
    started = time.monotonic()
    try:
        out, err = process.communicate(timeout=RUN_SECONDS)
    except Exception:
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=STOP_SECONDS)
        except Exception as error:
            end_group(process)
            raise Broken(f"it did not stop within {STOP_SECONDS} s: {error}") from error
    answer = Answer(
        process.returncode,
        out.decode(errors="replace"),
        err.decode(errors="replace"),
        time.monotonic() - started,
    )
    return _in_words(answer.check(0, 1, 2, 130))


def _in_words(answer: Answer) -> str:
    line = " ".join(answer.err.split())
    require("nobody foresaw" not in answer.said, f"a mistake of the program: {answer.said[-300:]}")
    return f"exit {answer.status}, {answer.seconds:.1f} s {line[:100]!r}"


def trials(count: int) -> list[Trial]:
    """So many, in the order in which they are mixed."""
    texts = [
        PIPELINE,
        *(path.read_text("utf-8") for path in sorted((ROOT / "resources" / "recipes").glob("*.yaml"))),
    ]
    works = []
    for number in range(count):
        kind = "run" if number % 50 == 49 else "arguments" if number % 3 == 2 else "check"
        work = {"run": run, "arguments": arguments, "check": partial(check, texts)}[kind]
        works.append(Trial(f"{kind} {number}", work))
    return works


if __name__ == "__main__":
    if os.name != "posix":
        sys.exit("This campaign needs a timer that interrupts.")
    chosen = options(str(__doc__), 500)
    work = work_folder(chosen)
    os.environ["ESPALIER_HOME"] = str(prepare(work / "base").home)
    sys.path.insert(0, str(ROOT))
    sys.exit(campaign(chosen, work, trials(chosen.trials)))
