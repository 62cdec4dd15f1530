"""Damaged files: a bit, a digit, cut, emptied, zeroed or removed, anywhere in a home and its run folders; then the program goes on.

Each trial copies a home in which a pipeline was run, damages one file, and does one of three things:
`run` (the pipeline again, mostly from the caches), `compare` (the finished run), `resume` (the finished run). Right is: the figures that
the run had, or a sentence that names what is damaged; and after a resume the figures again. Figures of time may be others where they
were measured again, which has to be said. A trial takes some seconds; 300 about half an hour on an idle machine.

    python tests/campaigns/damage.py --trials 300 [--seed 1] [--only cache/models] [--state damage.jsonl] [--minutes 9]
"""

import random
import re
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from common import (
    Answer,
    Prepared,
    Trial,
    campaign,
    espalier,
    figures,
    options,
    prepare,
    require,
    work_folder,
)

_DAMAGES = ("bit", "digit", "cut", "emptied", "zeroed", "removed")
_SAID = re.compile(r"damaged|set aside|made again|is gone|cannot be read|was changed|with another pipeline")
_MEASURED = re.compile(r"latency|throughput|memory|energy|ms|speed")
_NOT_STORED = re.compile(
    r"(^|/)(\.lock|.*\.log|complete|\..*)$"
)  # locks, logs and marks hold nothing that is shown


def damaged(content: bytes, damage: str, draw: random.Random) -> bytes | None:
    """The content after the damage; None where there is no such place in it."""
    if damage == "digit":
        places = [at for at, byte in enumerate(content) if 48 <= byte <= 57]
        if not places:
            return None
        at = draw.choice(places)
        other = draw.choice([byte for byte in range(48, 58) if byte != content[at]])
        return content[:at] + bytes([other]) + content[at + 1 :]
    if damage == "bit":
        at = draw.randrange(len(content))
        return content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :]
    if damage == "cut":
        return content[: draw.randrange(1, len(content))] if len(content) > 1 else None
    if damage == "zeroed":
        start = draw.randrange(len(content))
        end = start + max(1, len(content) // 4)
        zeroed = content[:start] + bytes(len(content[start:end])) + content[end:]
        return zeroed if zeroed != content else None
    return b""


@dataclass(frozen=True)
class Damaged:
    """A copy of what was prepared, with one damaged file.

    Attributes:
        table: what compare says of the run when it is whole.
    """

    copy: Prepared
    whole: Prepared
    table: str
    name: str

    def run(self) -> str:
        """The pipeline once more."""
        again = self.copy.folder / "again"
        answer = espalier(self.copy.home, "run", self.copy.pipeline, "--threads", 1, "--out", again, "--json")
        answer.check(0)
        self._check_results(answer, again)
        return "said and made again" if _SAID.search(answer.err) else "the same figures"

    def compare(self) -> str:
        """The finished run beside nothing."""
        answer = espalier(self.copy.home, "compare", self.copy.run, "--format", "csv").check(0, 1, 2)
        if answer.status:
            require(
                _SAID.search(answer.said), f"refused without saying what is damaged: {answer.said[-300:]}"
            )
            return "refused in a sentence"
        require(answer.out == self.table, "compare shows other figures")
        return "the same table"

    def resume(self) -> str:
        """Go on with the finished run, and compare it."""
        answer = espalier(self.copy.home, "run", self.copy.run, "--resume", "--threads", 1, "--json").check(
            0, 1, 2
        )
        if answer.status:
            require(
                _SAID.search(answer.said), f"refused without saying what is damaged: {answer.said[-300:]}"
            )
            require(
                self.name.endswith("pipeline.yaml"), f"the run cannot be gone on with: {answer.said[-300:]}"
            )
            return "refused in a sentence"
        self._check_results(answer, self.copy.run)
        table = espalier(self.copy.home, "compare", self.copy.run, "--format", "csv").check(0)
        require(table.out.count("\n") == self.table.count("\n"), "compare shows other rows after the resume")
        return "said and made again" if _SAID.search(answer.err) else "the same figures"

    def _check_results(self, answer: Answer, run: Path) -> None:
        _same_figures(self.whole, answer)
        before, now = self.whole.run / "model.onnx", run / "model.onnx"
        require(now.is_file() and now.read_bytes() == before.read_bytes(), "another model.onnx")


def work(
    prepared: Prepared, table: str, name: str, damage: str, then: str, folder: Path, draw: random.Random
) -> str:
    """One trial; see the module."""
    copy = prepared.copy(folder / "copy")
    file = copy.folder / name
    content = None if damage == "removed" else damaged(file.read_bytes(), damage, draw)
    if content is not None:
        file.write_bytes(content)
    elif damage == "removed":
        file.unlink()
    else:
        return "nothing to damage"
    trial = Damaged(copy, prepared, table, name)
    return {"run": trial.run, "compare": trial.compare, "resume": trial.resume}[then]()


def _same_figures(own: Prepared, answer: Answer) -> None:
    """Equal but for times that were measured again, which has to be said."""
    before, now = figures(own.results), figures(answer.results)
    require(before.keys() == now.keys(), f"other stages: {sorted(now)}")
    other = [
        f"{stage}.{name}: {before[stage].get(name)} became {now[stage].get(name)}"
        for stage in before
        for name in sorted(before[stage].keys() | now[stage].keys())
        if before[stage].get(name) != now[stage].get(name)
    ]
    wrong = [text for text in other if not _MEASURED.search(text.split(":")[0])]
    require(not wrong, f"other figures: {'; '.join(wrong[:3])}")
    require(not other or _SAID.search(answer.err), f"other times, without a word: {'; '.join(other[:3])}")


def main() -> int:
    chosen = options(__doc__ or "", 300)
    folder = work_folder(chosen)
    prepared = prepare(folder / "prepared")
    table = espalier(prepared.home, "compare", prepared.run, "--format", "csv").check(0).out
    files = (path for path in prepared.home.rglob("*") if path.is_file() and path.stat().st_size)
    names = sorted(path.relative_to(prepared.folder).as_posix() for path in files)
    names = [name for name in names if not _NOT_STORED.search(name)]
    places = sorted({name.rsplit("/", 1)[0] for name in names})
    draw = random.Random(chosen.seed)
    trials = []
    for number in range(1, chosen.trials + 1):
        place = draw.choice(places)
        name = draw.choice([each for each in names if each.rsplit("/", 1)[0] == place])
        damage = draw.choice(_DAMAGES)
        in_run = name.startswith("home/runs/")
        then = draw.choice(("compare", "resume") if in_run else ("run", "run", "resume"))
        do = partial(work, prepared, table, name, damage, then)
        trials.append(Trial(f"{number:03} {damage} {_shorter(name)} {then}", do))
    return campaign(chosen, folder, trials)


def _shorter(name: str) -> str:
    """A file's name without the long keys of the caches."""
    return re.sub(r"\b([0-9a-f]{2}/)?([0-9a-f]{8})[0-9a-f]{24,}", r"\2", name.removeprefix("home/"))


if __name__ == "__main__":
    sys.exit(main())
