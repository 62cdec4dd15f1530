"""Files from somebody who means harm: each ends in a sentence within minutes, changes nothing outside, and runs nothing.

    python tests/campaigns/malice.py [--only TEXT] [--state FILE] [--minutes M]

Pipeline files, images, archives, weights, ONNX files, checkpoints and run folders, each made to run something, to read or
write elsewhere, to hang, or to fill memory and disk. About ten minutes on two cores. Linux and macOS.
"""

import hashlib
import os
import random
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import malicious_files as made
import malicious_models as models
import malicious_runs as runs
from common import Answer, Prepared, Trial, campaign, espalier, options, prepare, require, work_folder

LIMIT = 240  # seconds that a command may take with a malicious file
MOST_MB = 400  # that a trial may leave on the disk


@dataclass(frozen=True)
class Scene:
    """Where a trial happens: a folder for its files, a home, and beside them what must stay as it is.

    Attributes:
        prepared: a home with a completed run and its caches. marker: a file that only code from a malicious file makes.
    """

    folder: Path
    prepared: Prepared

    @property
    def victim(self) -> Path:
        return self.folder / "victim"

    @property
    def marker(self) -> Path:
        return self.folder / "it-ran"

    def ask(self, *arguments: object) -> Answer:
        """What the program answers in a home of its own."""
        return espalier(self.prepared.home, *arguments, limit=LIMIT)

    def pipeline(self, text: str) -> Path:
        file = self.folder / "p.yaml"
        file.write_text(text, encoding="utf-8")
        return file


Act = Callable[[Scene], Answer]


def attempt(base: Path, act: Act, refused: bool, folder: Path, draw: random.Random) -> str:
    """Do one thing with a malicious file, and look at what came of it."""
    scene = Scene(folder, prepare(base).copy(folder / "prepared"))
    (scene.victim / "export").mkdir(parents=True)
    (scene.victim / "export" / "file").write_text("precious")
    (scene.victim / "keys").write_text("precious")
    before = _state(scene.victim)
    answer = act(scene).check(*((1, 2) if refused else (0, 1, 2)))
    require(not scene.marker.exists(), "code from the file ran")
    require(_state(scene.victim) == before, "files outside were changed")
    require("\x1b[" not in answer.said.replace("\x1b[0m", ""), "escape codes reached the terminal")
    size = sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_symlink()) / 1e6
    require(size < MOST_MB, f"{size:.0f} MB were left on the disk")
    line = next((one for one in answer.err.splitlines() if one.startswith("Error")), answer.said)
    return f"exit {answer.status}, {answer.seconds:.0f} s, “{line[:110]}”"


def _state(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# What is done with the files


def check(text: str | bytes, scene: Scene) -> Answer:
    """Check a pipeline file of this content."""
    file = scene.folder / "p.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return scene.ask("check", file, "--no-estimate")


def check_place(place: Callable[[Scene], Path], scene: Scene) -> Answer:
    return scene.ask("check", place(scene), "--no-estimate")


def judge(data: Callable[[Path, Path], Path], scene: Scene) -> Answer:
    """Judge the prepared model on a data set; `data` gets its folder and the marker's path."""
    place = data(scene.folder / "data", scene.marker)
    return scene.ask(
        "verify", scene.prepared.run / "model.onnx", "--data", made.source_of(place), "--path", place
    )


def judge_model(model: Callable[[Path, Path], Path], scene: Scene) -> Answer:
    """Judge an ONNX file on the bundled images."""
    (scene.folder / "model").mkdir()
    file = model(scene.folder / "model", scene.marker)
    return scene.ask(
        "verify", file, "--data", "fashion-mnist-sample", "--size", 32, "--mean", 0.5, "--std", 0.5
    )


def judge_described(model: Callable[[Path, Path], Path], scene: Scene) -> Answer:
    """Judge an ONNX file by what it says itself."""
    (scene.folder / "model").mkdir()
    return scene.ask("verify", model(scene.folder / "model", scene.marker), "--data", "fashion-mnist-sample")


def start_from(settings: Callable[[Path, Path], str], scene: Scene) -> Answer:
    """Run a pipeline that starts from what a person was given; `settings` writes it and gives the source's line."""
    (scene.folder / "given").mkdir()
    source = settings(scene.folder / "given", scene.marker)
    text = made.PIPELINE.replace("{id: network, settings: {backbone: plain-cnn-tiny}}", source)
    answer = scene.ask("run", scene.pipeline(text), "--threads", 1, "--out", scene.folder / "out")
    copied = [
        path
        for path in (scene.folder / "out").rglob("*")
        if path.is_file() and b"topsecret" in path.read_bytes()
    ]
    require(not copied, "files that are no network were copied into the run")
    return answer


def work_with_run(tamper: Callable[[Path, Path], None], arguments: str, scene: Scene) -> Answer:
    """Do something with a run folder that somebody else sent."""
    run = scene.prepared.run
    tamper(run, scene.victim)
    words = arguments.format(run=run, name=run.name, out=scene.folder / "out.onnx").split()
    answer = scene.ask(*words)
    if (scene.folder / "out.onnx").is_file():
        require(
            b"precious" not in (scene.folder / "out.onnx").read_bytes(), "a file from outside was exported"
        )
    return answer


def trials(base: Path) -> list[Trial]:
    """All of them."""
    acts: list[tuple[str, Act, bool]] = []
    acts += [
        (f"pipeline: {name}", partial(check, text), True) for name, text in made.pipeline_texts().items()
    ]
    acts += [
        (f"pipeline: {name}", partial(check, text), False) for name, text in made.odd_but_right().items()
    ]
    acts += [
        (f"pipeline: {name}", partial(check_place, lambda scene, put=put: put(scene.folder)), True)
        for name, put in made.PLACES.items()
    ]
    acts += [(f"images: {name}", partial(judge, data), False) for name, data in made.DATA.items()]
    acts += [(f"data: {name}", partial(judge, data), True) for name, data in made.NO_DATA.items()]
    acts += [(f"onnx: {name}", partial(judge_model, model), True) for name, model in models.MODELS.items()]
    acts += [
        (f"onnx: {name}", partial(judge_described, model), True) for name, model in models.DESCRIBED.items()
    ]
    acts += [(f"start: {name}", partial(start_from, source), True) for name, source in models.SOURCES.items()]
    acts += [
        (f"run: {name}, {verb}", partial(work_with_run, tamper, arguments), False)
        for name, tamper in runs.RUNS.items()
        for verb, arguments in runs.VERBS.items()
        if name in runs.IN_EVERY_WAY or verb == "export"
    ]
    return [Trial(name, partial(attempt, base, act, refused)) for name, act, refused in acts]


if __name__ == "__main__":
    if os.name != "posix":
        sys.exit("This campaign needs named pipes, devices and symbolic links.")
    chosen = options(str(__doc__), 1000)
    folder = work_folder(chosen)
    code = campaign(chosen, folder, trials(folder / "base")[: chosen.trials])
    if code == 0 and chosen.work is None:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(code)
