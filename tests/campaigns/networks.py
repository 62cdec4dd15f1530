"""Networks by name: the smallest of each of timm's families and torchvision's list of classifiers, taken through what this program does.

Each is built with random weights (nothing is downloaded) for ten classes and the smallest images that it takes, trained for
a few steps, saved as a checkpoint and reloaded, exported to ONNX and verified, quantized (static INT8) and run, and a third of its
channels pruned, the pruned network being reloaded too. timm's networks are chosen by name (`timm:NAME`); torchvision's come from
a person's own Python file, which is how such a network reaches the program.

    python tests/campaigns/networks.py --state FILE [--only TEXT] [--minutes M]     try; what is in FILE is not tried again
    python tests/campaigns/networks.py --state FILE --table docs/coverage.md        write the outcomes into the page

`--again` tries again what did not pass. A network has a process of its own and `--limit` seconds of a processor (not of the clock: other
work on the machine does not count). A refusal in words is no fault; anything else that stops a step is.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psutil

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
_NOWHERE = Path(os.devnull).open("w")  # noqa: SIM115 - loggers keep it
NAMES = Path(__file__).with_name("networks.txt")
STEPS = ("build", "train", "export", "int8", "prune")
_SIZES = (64, 96, 128, 160, 192, 224, 240, 256, 299, 331, 384)  # px, tried in this order
_IMAGES, _BATCH, _TRAINING_STEPS = 16, 8, 4
_LARGEST = 150e6  # parameters; larger ones are of the same build as smaller ones in the list
_LEAST_SIGNAL = 3.0  # dB, as in `core.engine.coverage`
_TORCHVISION = """
import torchvision


def make_network(num_classes, name):
    return torchvision.models.get_model(name, weights=None, num_classes=num_classes)
"""


class Skip(Exception):
    """Why the network is not tried."""


class Examination:
    """One network on its way through the steps; `record` is what came of it."""

    def __init__(self, name: str, folder: Path):
        self.name, self.folder = name, folder
        self.record: dict[str, Any] = {"network": name}

    def run(self, steps: Iterable[str], note: Callable[[dict[str, Any]], None]) -> None:
        """These steps, as far as what they need succeeded; `note` is told after each."""
        from core.common.errors import EspalierError, Fault

        for step in steps:
            started = time.process_time()
            try:
                self.record[step] = getattr(self, step)()
            except Skip as reason:
                self.record[step] = f"skipped: {reason}"
            except EspalierError as error:
                word = "fails" if isinstance(error, Fault) else "refused"
                self.record[step] = f"{word}: {error}"
                self.record[f"{step} details"] = error.details[-600:]
            except Exception as error:
                self.record[step] = f"fails: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
                self.record[f"{step} details"] = traceback.format_exc()[-1500:]
            self.record[f"{step} seconds"] = round(time.process_time() - started, 1)
            note(self.record)
            if step == "build" and self.record[step] != "yes":
                break

    def build(self) -> str:
        """The network for the smallest images that it can be made for, and its data."""
        import torch

        from core.common.errors import EspalierError
        from core.data.preprocess import make_preprocess
        from core.data.settings import DataSettings
        from core.data.store import open_data

        problem: EspalierError | None = None
        for size in _SIZES:
            try:
                self.model, self.network, self.notes = self._made(size)
                with torch.no_grad():
                    self.model.eval()(torch.zeros(2, 3, size, size))
                break
            except EspalierError as error:
                if problem is None or "image" in problem.message:
                    problem = error
                if "image" not in f"{error}":
                    raise
        else:
            assert problem is not None
            raise problem
        self.record["size"], self.record["notes"] = size, self.notes
        self.record["params"] = sum(p.numel() for p in self.model.parameters())
        settings = DataSettings(source="fashion-mnist-sample", image_size=size, train_images=64, validation_images=16, test_images=16)  # fmt: skip
        self.data = open_data(settings, self.folder.parent / "data")
        self.prepare = make_preprocess(settings, self.data)
        rows = self.data.split("train")[:_IMAGES]
        self.images, self.labels = self.data.images[rows], self.data.labels[rows]
        return "yes"

    def _made(self, size: int) -> tuple[Any, Any, list[str]]:
        from core.data.idx import FASHION_CLASSES
        from core.machine.trusted_files import TrustList
        from core.models.python_network import build_python
        from core.models.settings import BackboneSettings
        from core.models.source import build_network
        from core.models.trusted_python import PythonSettings, open_python

        library, _, name = self.name.partition(":")
        if library == "timm":
            self._refuse_large(name)
            network = BackboneSettings(backbone=self.name, norm_momentum=1.0)
            model, notes = build_network(network, 10, self.folder, 1, size)
            return model, network, notes
        path = self.folder / "network.py"
        path.write_text(_TORCHVISION, encoding="utf-8")
        trusted = TrustList.default()
        trusted.trust(path)
        settings = PythonSettings(path=str(path), arguments=f"{{name: {name}}}")
        network = open_python(settings, self.folder, trusted)
        self._refuse_large(name)
        model, notes = build_python(settings, network, FASHION_CLASSES, self.folder, 1, size)
        return model, network, notes

    def _refuse_large(self, name: str) -> None:
        import torch

        from core.models.torchvision_shim import import_torchvision

        torchvision = import_torchvision()
        import timm

        try:
            with torch.device("meta"):
                if self.name.startswith("timm:"):
                    network = timm.create_model(name, pretrained=False)
                else:
                    network = torchvision.models.get_model(name, weights=None)
        except Exception:  # it cannot be made without numbers: then with them
            return
        count = sum(p.numel() for p in network.parameters())
        if count > _LARGEST:
            raise Skip(f"{count / 1e6:.0f} million parameters")

    def train(self) -> str:
        """A few steps on the same few images, so that the logits differ between images."""
        import torch
        from torch.nn import functional

        labels = torch.as_tensor(self.labels).long()
        images = self.prepare(self.images)
        optimiser = torch.optim.Adamax((p for p in self.model.parameters() if p.requires_grad), lr=0.003)
        self.model.train()
        for step in range(_TRAINING_STEPS):
            part = slice(step * _BATCH % _IMAGES, step * _BATCH % _IMAGES + _BATCH)
            loss = functional.cross_entropy(self.model(images[part]), labels[part])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        self.model.eval()
        return "yes" if torch.isfinite(loss) else f"fails: the loss became {float(loss)}"

    def export(self) -> str:
        """Checkpoint, the file, and whether it answers like the network that was reloaded."""
        import numpy as np
        import torch

        from core.deploy.agreement import compare_logits, may_be_rounding
        from core.deploy.onnx_export import export_onnx
        from core.models.checkpoint import Checkpoint, save_checkpoint

        saved = self.folder / "checkpoint"
        save_checkpoint(saved, Checkpoint(self.model, self.network, self.prepare, self.data.classes))
        export_onnx({"checkpoint": str(saved), "target": str(self.folder / "f.onnx")}, _silent)
        network, images = _reloaded(saved), self.prepare(self.images)
        with torch.no_grad():
            self.logits = network(images).numpy()
        answers = self._answers(self.folder / "f.onnx")
        verdict = compare_logits(self.logits, answers)
        if may_be_rounding(verdict):
            with torch.no_grad():
                exact = network.double()(images.double()).numpy()
            verdict = compare_logits(self.logits, answers, rounding=float(np.abs(exact - self.logits).max()))
        self.record["difference"] = float(np.float32(verdict.max_logit_difference))
        return "yes" if verdict.good else f"fails: {verdict.sentence}"

    def _answers(self, file: Path) -> Any:
        from core.deploy.verify import onnx_predictor

        return onnx_predictor(file, 1).network(self.images)

    def int8(self) -> str:
        """The static INT8 file opened and run."""
        import numpy as np

        from core.deploy.quantization.sessions import sqnr
        from core.deploy.quantization.static import quantize
        from core.stages.quantize_static import QuantizeStaticParams

        source, target = self.folder / "f.onnx", self.folder / "i.onnx"
        if self.record.get("export") != "yes":
            raise Skip("there is no exported file")
        np.save(self.folder / "images.npy", self.images)
        report = quantize(
            {**QuantizeStaticParams().arguments(), "images": str(self.folder / "images.npy"), "source": str(source),
             "target": str(target), "seed": 1, "equalise": False, "scales": "channel"}, _silent,
        )  # fmt: skip
        self.record["int8 layers"] = f"{report['quantized_layers']} of {report['layers']}"
        reference, logits = self.logits, self._answers(target)
        if not np.isfinite(logits).all():
            return "fails: its logits are not finite"
        self.record["dB"] = round(sqnr(reference - reference.mean(0), logits - logits.mean(0)), 1)
        return "yes" if self.record["dB"] >= _LEAST_SIGNAL else f"noise: {self.record['dB']} dB"

    def prune(self) -> str:
        """A third of the channels gone, by the stage's own code, and the pruned network reloaded."""
        import torch

        from core.common.control import RunControl
        from core.data.settings import Augmentation
        from core.models.checkpoint import Checkpoint, save_checkpoint
        from core.stages.context import StageContext
        from core.stages.prune_channels import PruneChannels, PruneChannelsParams
        from core.training.settings import TrainingSettings

        settings = PruneChannelsParams(
            ratio=0.3, scope="whole-groups", round_to=1, batch_norm_batches=1, training=TrainingSettings(epochs=0, batch_size=_BATCH)
        )  # fmt: skip
        context = StageContext(
            "prune", 1, "k", "cpu", self.network, self.data, self.prepare, Augmentation(), self.folder, RunControl(),
            lambda event: None, lambda name: self.model,
        )  # fmt: skip
        before = self.record["params"]
        result = PruneChannels().run(self.model, settings, context)
        saved = self.folder / "pruned"
        save_checkpoint(saved, Checkpoint(result.model, self.network, self.prepare, self.data.classes))
        with torch.no_grad():
            logits = _reloaded(saved)(self.prepare(self.images))
        after = sum(p.numel() for p in result.model.parameters())
        self.record["left"] = round(after / before, 3)
        self.record["groups"] = f"{len(result.facts['layers'])} of {len(result.facts['layers']) + len(result.skipped)}"  # fmt: skip
        self.record["whole"] = sorted({_general(reason) for _, reason in result.skipped})
        return "yes" if torch.isfinite(logits).all() else "fails: its logits are not finite"


def _reloaded(folder: Path) -> Any:
    """The network of a checkpoint that was just saved; whatever keeps it from opening is a fault of ours."""
    from core.common.errors import EspalierError
    from core.models.checkpoint import load_checkpoint

    try:
        return load_checkpoint(folder).model
    except EspalierError as error:
        raise RuntimeError(error.message.replace(str(folder), "the checkpoint")) from error


def _silent(fraction: float, text: str) -> None:
    """Nobody watches."""


def _general(reason: str) -> str:
    """A reason without the names of single layers."""
    return re.sub(r"\b(?:body|head)\.[\w.]+", "…", reason)


def _examine_here(
    name: str, folder: str, steps: tuple[str, ...], note: Callable[[dict[str, Any]], None]
) -> None:
    import torch

    torch.set_num_threads(1)
    os.environ["ESPALIER_HOME"] = str(Path(folder).parent / "home")
    with contextlib.redirect_stdout(_NOWHERE), contextlib.redirect_stderr(_NOWHERE):
        Examination(name, Path(folder)).run(steps, note)


def _child(name: str, folder: str, steps: tuple[str, ...], answer: Any) -> None:
    _examine_here(name, folder, steps, answer.send)
    answer.close()


def examine(name: str, work: Path, limit: float, steps: tuple[str, ...] = STEPS) -> dict[str, Any]:
    """The record of one network, examined in a process of its own for at most `limit` seconds of a processor."""
    context = multiprocessing.get_context("fork" if hasattr(os, "fork") else "spawn")
    here, there = context.Pipe(duplex=False)
    folder = tempfile.TemporaryDirectory(dir=work)
    process = context.Process(target=_child, args=(name, folder.name, steps, there))
    record: dict[str, Any] = {"network": name}
    with folder:
        process.start()
        there.close()
        try:
            while _processor_seconds(process.pid) < limit:
                if here.poll(1.0):
                    record = here.recv()
        except EOFError:
            process.join(5)
        unfinished = next((step for step in steps if step not in record), None)
        if unfinished and process.is_alive():
            record[unfinished] = f"time: more than {limit:.0f} s"
        elif unfinished and record.get("build") == "yes":
            record[unfinished] = f"fails: the process ended with {process.exitcode}"
        elif "build" not in record:
            record["build"] = f"fails: the process ended with {process.exitcode}"
        process.kill()
        process.join()
    return record


def _processor_seconds(pid: int | None) -> float:
    """What a process has computed so far: other work on the machine does not count."""
    with contextlib.suppress(psutil.NoSuchProcess):
        times = psutil.Process(pid).cpu_times()
        return times.user + times.system
    return 0.0


def _warm_up(work: Path, steps: tuple[str, ...]) -> None:
    """One small network here, so that what is imported on the way is imported before processes are forked: ten seconds of each."""
    if hasattr(os, "fork"):
        with tempfile.TemporaryDirectory(dir=work) as folder:
            _examine_here(names()[0], folder, steps, lambda record: None)


def names() -> list[str]:
    """The networks, a line each."""
    return [line for line in NAMES.read_text(encoding="utf-8").split() if ":" in line]


def is_fault(record: dict[str, Any]) -> bool:
    """Whether a step stopped without words for a person."""
    return any(str(record.get(step, "")).startswith("fails") for step in STEPS)


def _unfit(record: dict[str, Any]) -> bool:
    return any(str(record.get(step, "")).startswith(("fails", "time", "refused")) for step in STEPS)


def read(state: Path | None) -> dict[str, dict[str, Any]]:
    """Records by network; of several the last."""
    lines = state.read_text(encoding="utf-8").splitlines() if state and state.is_file() else []
    return {record["network"]: record for record in map(json.loads, lines)}


def sweep(chosen: argparse.Namespace, wanted: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Examine what `--state` does not hold yet; all records."""
    records, until = read(chosen.state), time.monotonic() + 60 * chosen.minutes
    with tempfile.TemporaryDirectory(prefix="espalier-networks-") as folder:
        _warm_up(Path(folder), ("build", "train", *chosen.steps))
        for name in wanted:
            before = records.get(name, {})
            again = not before or (chosen.again and _unfit(before))
            steps = tuple(step for step in STEPS if step in ("build", "train", *chosen.steps))
            open_steps = [step for step in steps if step not in before]
            if before.get("build", "yes") != "yes" and not again:
                continue
            if not (again or open_steps) or time.monotonic() > until:
                continue
            records[name] = record = before | examine(name, Path(folder), chosen.limit, steps)
            record["seconds"] = round(sum(record.get(f"{step} seconds", 0) for step in STEPS), 1)
            words = "; ".join(f"{step} {record[step]}" for step in STEPS if step in record)
            print(f"{name} ({record['seconds']:.0f} s): {words}", flush=True)
            if chosen.state:
                with chosen.state.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(record) + "\n")
    return records


_ABOUT = """
The smallest network of each of {families} families of timm (`timm:NAME`), and torchvision's list of classifiers, which came from a Python file
as a network of a person's own. Written by `python tests/campaigns/networks.py --state FILE --table docs/coverage.md`, which says what
is done: random weights, ten classes, the smallest images that a network takes, {steps} training steps.

- **Trained**: built, and its loss is a number. **ONNX**: the exported file answers like the checkpoint that was reloaded.
  **INT8**: signal to noise of the static INT8 file in what of the logits differs between images; below {signal:g} dB it is *noise*, which
  so little training can be the reason of. **Pruned**: the parameters that are left when 30 % of the channels of every group that
  can go went (`whole-groups`, not rounded), and how many of the groups were cut; the pruned network was saved and reloaded.
- **no**: refused in words, with the number of the sentence; **fault**: neither, a mistake of ours. What was left whole while
  other channels went is numbered too. *–*: not tried.

Of the {listed} networks of the list {all} were tried so far: {trained} trained; ONNX files {exported}, INT8 files {quantized}, pruned {pruned};
{faults} with a fault. *time*: more than the seconds that were allowed; that says nothing of the network.
"""


def page_part(records: list[dict[str, Any]]) -> str:
    """The part of `docs/coverage.md` that says what came of the networks."""
    from importlib.metadata import version

    sentences: list[str] = []

    def number(sentence: str) -> int:
        if sentence not in sentences:
            sentences.append(sentence)
        return sentences.index(sentence) + 1

    lines = [
        "",
        "## Networks by name",
        _about(records),
        "| Network | px | Parameters | Trained | ONNX | INT8 | Pruned | Left whole |",
    ]
    lines.append("|---|--:|--:|:-:|:-:|:-:|:-:|---|")
    for record in records:
        cells = [_cell(record, step, number) for step in STEPS]
        whole = ", ".join(
            str(number(f"{reason}."))
            for reason in record.get("whole", [])
            if "would go" not in reason and "channels that go" not in reason
        )
        trained = cells[0] if record["build"] != "yes" else cells[1]
        params = f"{record['params'] / 1e6:.2f} M" if "params" in record else ""
        lines.append(
            f"| `{record['network']}` | {record.get('size', '')} | {params} | {trained} | {' | '.join(cells[2:])} | {whole} |"
        )
    lines += ["", *(f"{place}. {sentence}" for place, sentence in enumerate(sentences, start=1)), ""]
    names = ", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision", "timm", "onnxruntime", "torch-pruning"))  # fmt: skip
    return "\n".join([*lines, f"{names}; one thread of a shared machine.", ""])


def _about(records: list[dict[str, Any]]) -> str:
    def passed(step: str) -> str:
        tried = [record[step] for record in records if step in record]
        return f"{tried.count('yes')} of {len(tried)}" if tried else "none yet"

    return _ABOUT.format(
        families=sum(name.startswith("timm:") for name in names()), steps=_TRAINING_STEPS, signal=_LEAST_SIGNAL,
        listed=len(names()), all=len(records), trained=passed("train"), exported=passed("export"),
        quantized=passed("int8"), pruned=passed("prune"), faults=sum(map(is_fault, records)),
    )  # fmt: skip


def _cell(record: dict[str, Any], step: str, number: Callable[[str], int]) -> str:
    from core.common.numbers import percent

    outcome = str(record.get(step, "–"))
    word, _, sentence = outcome.partition(": ")
    if outcome == "yes":
        return {"int8": f"{record.get('dB')} dB", "prune": f"{percent(record.get('left', 0))}, {record.get('groups')}"}.get(step, "yes")  # fmt: skip
    if word in ("refused", "fails", "time"):
        sentence = _general(sentence.replace(record["network"].partition(":")[2], "NAME"))
        words = {"refused": "no", "fails": "fault", "time": "time"}
        return f"{words[word]} ({number(sentence)})"
    return {"skipped": "–", "noise": f"noise ({record.get('dB')} dB)"}.get(word, outcome)


def write_table(records: dict[str, dict[str, Any]], page: Path) -> None:
    """Replace that part of the page."""
    before = page.read_text(encoding="utf-8").partition("\n## Networks by name\n")[0]
    order = {name: place for place, name in enumerate(names())}
    known = sorted(
        (records[name] for name in records if name in order), key=lambda record: order[record["network"]]
    )
    page.write_text(before + page_part(known), encoding="utf-8")


def main() -> int:
    """See the module's documentation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--state", type=Path, help="file of records, one a line")
    parser.add_argument("--only", default="", metavar="TEXT", help="networks whose name contains TEXT")
    parser.add_argument("--names", nargs="*", help="these networks instead of the list")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no network after so many")
    parser.add_argument(
        "--limit", type=float, default=300, help="seconds of a processor for one network (300)"
    )
    parser.add_argument(
        "--steps", nargs="+", choices=STEPS[2:], default=STEPS[2:], help="after building and training (all)"
    )
    parser.add_argument(
        "--table", type=Path, metavar="PAGE", help="only write what --state holds into this page"
    )
    parser.add_argument(
        "--again", action="store_true", help="what failed, ran out of time or was refused is tried again"
    )
    parser.add_argument("--shuffle", action="store_true", help="in random order")
    chosen = parser.parse_args()
    if chosen.table:
        write_table(read(chosen.state), chosen.table)
        return 0
    wanted = [name for name in chosen.names or names() if chosen.only in name]
    if chosen.shuffle:
        random.shuffle(wanted)
    records = sweep(chosen, wanted)
    done = [records[name] for name in wanted if name in records]
    faults = [record["network"] for record in done if is_fault(record)]
    for name in faults:
        print(f"FAULT {name}")
    print(f"trials {len(done)}, survived {len(done) - len(faults)}, faults {len(faults)}, left {len(wanted) - len(done)}")  # fmt: skip
    return 1 if faults else 3 if len(done) < len(wanted) else 0


if __name__ == "__main__":
    sys.exit(main())
