"""From a checkpoint to files that are proven to agree with it; runs beside the tool child.

Needs no torch: the tool child exports and predicts, this module compares and decides.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.common.control import RunControl
from core.common.errors import EspalierError
from core.common.files import copy_file
from core.common.logs import in_a_line
from core.data.access import DataAccess
from core.deploy.agreement import compare_logits, may_be_rounding
from core.deploy.artefact_folder import ArtefactFolder
from core.deploy.onnx_export import export_onnx, facts_of
from core.deploy.quantization.half_precision import to_half
from core.deploy.received_onnx import Reading, receive
from core.deploy.verify import predict
from core.machine.child import Child
from core.machine.jobs import Job, ProgressCallback
from core.records.reports import Verification

_log = logging.getLogger(__name__)

_LABELS = {"float32": "ONNX float32", "float16": "ONNX float16"}


@dataclass(frozen=True, slots=True)
class VerifiedArtefact:
    """A verified file.

    Attributes:
        id: "float32", "float16", "int8", …; also its precision.
        path: the .onnx file.
        logits: .npy, float32 [n, k], the file's answers on the test split.
        reference: .npy, the same of the PyTorch network. labels: .npy, int64 [n].
        facts: opset, nodes, classes, input_size, preprocess (`Preprocess.as_dict`).
    """

    id: str
    label: str
    precision: str
    path: Path
    sha256: str
    bytes: int
    verification: Verification
    logits: Path
    reference: Path
    labels: Path
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolCalls:
    """A child of the kind "tool", with the control and the progress callback that its jobs get."""

    child: Child
    control: RunControl | None = None
    on_progress: ProgressCallback | None = None

    def call(self, job: Job, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """One job; errors as of `Child.call`."""
        return self.child.call(job, arguments, self.control, self.on_progress)


@dataclass(frozen=True, slots=True)
class OnnxCheck:
    """What `verify_onnx` found.

    Attributes:
        top1: percent of the images whose first answer is right.
        n: images. classes: of the data set, the order of the logits.
        preprocess: how images were prepared. facts: what the file says of itself.
        notes: sentences on the data set and on images that were left out.
        order: likewise, on an order of the classes that would explain the accuracy.
    """

    top1: float
    n: int
    classes: tuple[str, ...]
    preprocess: dict[str, Any]
    facts: dict[str, Any]
    notes: tuple[str, ...] = ()
    order: tuple[str, ...] = ()


def make_artefacts(
    tool: ToolCalls,
    checkpoint: Path,
    folder: ArtefactFolder,
    data: DataAccess,
    half: bool = False,
    device: str = "cpu",
    on_refused: Callable[[EspalierError], None] | None = None,
) -> list[VerifiedArtefact]:
    """Export a checkpoint as float32 and, where asked, as float16, and verify each on the test split.

    Args:
        folder: where the files and their predictions are written.
        data: its threads are those of all predictions.
        device: of the PyTorch predictions.
        on_refused: called with the error of a half precision file that could not be made or does not agree;
            without it that is an error as for float32.

    Raises:
        EspalierError: when a file cannot be made, or disagrees with the network; the file is then
            kept under a name that ends in ".rejected.onnx".
        Stopped: a person asked to stop.
    """
    work = _Work(tool, folder, 5 if half else 3)
    inputs = {**data.as_plain(), "labels": str(folder.labels)}
    source, target = str(folder.float32), str(folder.file("float16"))
    exported = work.step(export_onnx, {"checkpoint": str(checkpoint), "target": source})
    logits = str(folder.network_logits)
    work.step(predict, {**inputs, "checkpoint": str(checkpoint), "device": device, "logits": logits})
    in_double = {**inputs, "checkpoint": str(checkpoint), "device": device, "double": True}
    artefacts = [work.verified("float32", exported, inputs, in_double)]
    if half:
        try:
            converted = work.step(to_half, {"source": source, "target": target})
            artefacts.append(work.verified("float16", {**exported, **converted}, inputs))
        except EspalierError as error:
            _put_aside(folder.file("float16"))  # also where ONNX Runtime crashed on it
            if on_refused is None:
                raise
            on_refused(error)
    return artefacts


def adopt_artefact(
    tool: ToolCalls,
    file: Path,
    label: str,
    folder: ArtefactFolder,
    data: DataAccess,
    checkpoint: Path | None = None,
    rehearsal: bool = False,
) -> VerifiedArtefact:
    """A file that a stage made itself, held against the float network that it stands for.

    Args:
        file: `<precision>.onnx`; copied into `folder`.
        folder: holds the logits of that network on the test split already, unless `checkpoint` gives
            the network.
        rehearsal: as of `compare_logits`.

    Raises:
        EspalierError: when the file cannot be opened or a logit is not a finite number.
        Stopped: a person asked to stop.
    """
    work = _Work(tool, folder, 2 if checkpoint else 1, rehearsal)
    target = folder.file(file.stem)
    copy_file(file, target)
    inputs = {**data.as_plain(), "labels": str(folder.labels)}
    if checkpoint is not None:
        logits = str(folder.network_logits)
        work.step(predict, {**inputs, "checkpoint": str(checkpoint), "logits": logits})
    facts = tool.call(facts_of, {"path": str(target)})
    return replace(work.verified(file.stem, facts, inputs), label=label)


def receive_onnx(
    tool: ToolCalls, file: Path, target: Path, data: DataAccess, reading: Reading
) -> tuple[Path, list[str]]:
    """Somebody's ONNX classifier in the usual form, and sentences on what was found and changed.

    Args:
        target: where a copy is written if the file has another form, or does not say how images are prepared.

    Raises:
        EspalierError: when it is no image classifier for the data set, or does not say how images are prepared.
        Stopped: a person asked to stop.
    """
    reply = tool.call(
        receive, {**data.as_plain(), **reading.as_plain(), "source": str(file), "target": str(target)}
    )
    return Path(reply["path"]), list(reply["notes"])


def verify_onnx(
    tool: ToolCalls, model: Path, data: DataAccess, folder: Path, split: str = "test", name: str = ""
) -> OnnxCheck:
    """Accuracy of an ONNX classifier in the usual form on a split of a data set, in ONNX Runtime on the CPU.

    Args:
        folder: where the logits and labels are written (`<name>.logits.npy`, `<name>.labels.npy`).
        name: what to call the model in messages; its file's name unless given.

    Raises:
        EspalierError: when the file cannot be opened, does not say how images are prepared, does not fit
            the data set, or gives an answer that is not a finite number.
        Stopped: a person asked to stop.
    """
    arguments = {
        **data.as_plain(),
        "onnx": str(model),
        "split": split,
        "logits": str(ArtefactFolder(folder).logits(model.stem)),
        "labels": str(folder / f"{model.stem}.labels.npy"),
    }
    result = tool.call(predict, arguments)
    logits, labels = np.load(result["logits"]), np.load(result["labels"])
    broken = int((~np.isfinite(logits)).any(1).sum())
    if broken:
        Path(result["logits"]).unlink()
        raise EspalierError(
            f"{name or model.name} gives answers that are not finite numbers (NaN or infinite) on {broken} of "
            f"{len(labels)} images, so it has no accuracy.",
            "Look for overflow, or for a training that diverged, and export it again.",
        )
    return OnnxCheck(
        top1=100.0 * float((logits.argmax(1) == labels).mean()),
        n=len(labels),
        classes=tuple(result["classes"]),
        preprocess=result["preprocess"],
        facts=result["facts"],
        notes=tuple(result["notes"]),
        order=tuple(result["order"]),
    )


@dataclass(slots=True)
class _Work:
    """The steps of one `make_artefacts`, with one progress over all of them."""

    tool: ToolCalls
    folder: ArtefactFolder
    steps: int
    rehearsal: bool = False
    done: int = 0

    def step(self, job: Job, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """One job of the tool child."""

        tell = self.tool.on_progress

        def progress(fraction: float, text: str) -> None:
            if tell is not None:
                tell((self.done + fraction) / self.steps, text)

        result = replace(self.tool, on_progress=progress).call(job, arguments)
        self.done += 1
        return result

    def verified(
        self,
        name: str,
        file: Mapping[str, Any],
        inputs: Mapping[str, Any],
        in_double: Mapping[str, Any] | None = None,
    ) -> VerifiedArtefact:
        """The file `<name>.onnx` as an artefact, once its predictions agree with the network's.

        Args:
            in_double: arguments of `predict` for the network in float64, asked where it may round by itself.

        Raises:
            EspalierError: when they do not.
        """
        folder = self.folder
        path, logits, reference = folder.file(name), folder.logits(name), folder.network_logits
        predicted = self.step(predict, {**inputs, "onnx": str(path), "logits": str(logits)})
        verdict = compare_logits(
            np.load(reference), np.load(logits), precision=name, rehearsal=self.rehearsal
        )
        if in_double is not None and may_be_rounding(verdict):
            rounding = self._rounding(in_double, np.load(reference))
            verdict = compare_logits(np.load(reference), np.load(logits), precision=name, rounding=rounding)
        if not verdict.good:
            raise _refused(path, verdict)
        return VerifiedArtefact(
            id=name,
            label=_LABELS.get(name, name),
            precision=name,
            path=path,
            sha256=file["sha256"],
            bytes=file["bytes"],
            verification=verdict,
            logits=logits,
            reference=reference,
            labels=Path(inputs["labels"]),
            facts={
                **{key: file[key] for key in ("opset", "nodes", "classes", "input_size")},
                "preprocess": predicted["preprocess"],
            },
        )

    def _rounding(self, in_double: Mapping[str, Any], reference: NDArray[np.float32]) -> float:
        """The largest difference between the network's logits in float32, [n, k], and in float64; 0 where it runs in float32 only."""
        logits = self.folder.path / "float64.logits.npy"
        self.steps += 1
        try:
            self.step(predict, {**in_double, "logits": str(logits)})
            difference = np.abs(np.load(logits).astype(np.float64) - reference)
        except EspalierError as error:
            _log.info("A network's own rounding is not known: %s", in_a_line(error))
            return 0.0
        finally:
            logits.unlink(missing_ok=True)
        return float(difference.max()) if np.isfinite(difference).all() else 0.0


def _refused(path: Path, verdict: Verification) -> EspalierError:
    """Put the file aside and say why."""
    return EspalierError(
        f"The exported file does not agree with the PyTorch model: its logits differ by up to "
        f"{verdict.max_logit_difference:.3g}, the limit is {verdict.limit:.3g}. {verdict.sentence}",
        f"It was not kept as a result; look at it under the name {_put_aside(path).name}. Another backbone, "
        "stage or precision may export exactly.",
    )


def _put_aside(path: Path) -> Path:
    """Rename a file that must not be used, if it is still there."""
    aside = path.with_name(f"{path.stem}.rejected.onnx")
    if path.exists():
        path.replace(aside)
    return aside
