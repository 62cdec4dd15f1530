"""What a device reported: the `report.json` that an archive's script wrote, strictly checked.

The script is `resources/edge/run.py`; the archive is made in `core.deploy.bundle`.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.analysis.accuracy import wilson
from core.common.errors import EspalierError
from core.deploy.bundle import FORMAT
from core.profiling.runtimes.base import count_threads
from core.records.reports import Artefact, Metric, StageReport, Verification

CPU = "CPUExecutionProvider"
_MOST_BYTES = 5_000_000
_LEAST_RUNS = 30  # in a session, by the protocol
_Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_Percent = Annotated[float, Field(ge=0, le=100)]
_Time = Annotated[float, Field(gt=0)]
_Count = Annotated[int, Field(ge=1)]
_Text = Annotated[str, Field(max_length=1000)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class PackedImages(_Strict):
    """The test images in the archive: how many, of how many, and what identifies them."""

    count: _Count
    of: _Count
    id: _Sha256


class Origin(_Strict):
    """The archive that was measured; see `core.deploy.bundle.BundleFacts`."""

    name: _Text
    run: _Text
    stage: _Text
    stage_name: _Text
    file: _Text
    precision: _Text
    sha256: _Sha256
    pipeline: _Sha256
    bytes: _Count
    images: PackedImages


class Device(_Strict):
    """The machine, as `core.machine.fingerprint.fingerprint` describes one; None where it does not say."""

    processor: _Text
    instructions: list[_Text]
    physical_cores: _Count | None
    logical_cores: _Count
    memory_bytes: _Count | None
    gpu: list[_Text]
    system: _Text
    python: _Text
    versions: dict[str, _Text]


class Accuracy(_Strict):
    """Answers to the packed images; `right` is a "1" or "0" for each."""

    images: _Count
    right: Annotated[str, Field(pattern="^[01]+$")]
    top1: _Percent
    agreement: _Percent
    max_logit_difference: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if len(self.right) != self.images:
            raise ValueError("the number of images is not that of the answers")
        if abs(100 * self.right.count("1") / self.images - self.top1) > 1e-6:
            raise ValueError("top-1 is not the share of right answers")
        return self


class Latency(_Strict):
    """Times in milliseconds; `sessions` is each session's median."""

    threads: _Count
    provider: _Text
    batch: _Count
    runs: _Count
    sessions: Annotated[list[_Time], Field(min_length=2)]
    median: _Time
    low: _Time
    high: _Time
    level: Annotated[float, Field(gt=0, lt=1)]
    p90: _Time
    p99: _Time

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if not self.low <= self.median <= self.high:
            raise ValueError("the median lies outside its interval")
        if abs(float(np.median(self.sessions)) / self.median - 1) > 1e-6:
            raise ValueError("the median is not that of the sessions")
        if self.runs < _LEAST_RUNS * len(self.sessions):
            raise ValueError(f"fewer than {_LEAST_RUNS} runs in a session")
        return self


class DeviceReport(_Strict):
    """The whole file."""

    espalier_report: Literal[1]
    made: Annotated[float, Field(ge=0)]
    bundle: Origin
    device: Device
    accuracy: Accuracy
    latency_ms: Latency
    notes: list[_Text]

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.accuracy.images != self.bundle.images.count:
            raise ValueError("the answers are not to the packed images")
        return self

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which packed images were answered right, [n]."""
        return np.frombuffer(self.accuracy.right.encode(), np.uint8) == ord("1")

    @property
    def machine(self) -> dict[str, Any]:
        """The device as runs keep theirs; with the provider, where that is not the processor."""
        plain = self.device.model_dump()
        return plain if self.latency_ms.provider == CPU else {**plain, "provider": self.latency_ms.provider}

    def stage_report(self) -> StageReport:
        """What was measured as the report of a stage with one file."""
        origin = self.bundle
        id, _, seed = origin.stage.partition("@")
        artefact = Artefact(
            id=origin.precision, label=origin.file, precision=origin.precision, path="", sha256=origin.sha256,
            bytes=origin.bytes, verification=self._verification(), metrics=self._metrics(),
        )  # fmt: skip
        return StageReport(
            key=origin.stage, id=id, source="", seed=int(seed) if seed.isdigit() else 0,
            name=f"{origin.stage_name} on {self.device.processor}", kind="device", headline=artefact.id,
            artefacts=[artefact], notes=[*self._remarks(), *self.notes],
        )  # fmt: skip

    def _metrics(self) -> dict[str, Metric]:
        accuracy, times = self.accuracy, self.latency_ms
        where = f"on {self.device.processor}"
        low, high = wilson(accuracy.right.count("1"), accuracy.images)
        part = f"{accuracy.images} of the {self.bundle.images.of} test images"
        metrics = {
            "top1": Metric(
                value=accuracy.top1, unit="%", low=low, high=high, level=0.95, n=accuracy.images,
                how=f"ONNX Runtime {where}, on {part}",
            ),
            "agreement": Metric(
                value=accuracy.agreement, unit="%", n=accuracy.images, how=f"top-1 here and where it was exported, {part}"
            ),
            "max_logit_difference": Metric(
                value=accuracy.max_logit_difference, n=accuracy.images, how=f"here and where it was exported, {part}"
            ),
            "size_mb": Metric(value=self.bundle.bytes / 1e6, unit="MB", n=1, how="size of the file"),
        }  # fmt: skip
        return metrics | self._times(times, where)

    def _times(self, times: Latency, where: str) -> dict[str, Metric]:
        """Latency under the name of its protocol: one thread, or several."""
        version = self.device.versions.get("onnxruntime", "")
        how = (
            f"ONNX Runtime {version}, {times.provider}, {where}, {count_threads(times.threads)}, batch {times.batch}; median of "
            f"{times.runs} runs in {len(times.sessions)} sessions"
        )
        name = "latency_ms" if times.threads == 1 else "latency_ms_all_cores"
        if times.batch > 1:
            words = f"the file takes {times.batch} images in a call; a call takes {times.median:.4g} ms"
            return {name: Metric(value=None, unit="ms", how=f"{words}; {how}")}
        latency = Metric(
            value=times.median, unit="ms", low=times.low, high=times.high, level=times.level, n=times.runs, how=how
        )  # fmt: skip
        if times.threads > 1:
            return {name: latency}
        tail = {"latency_ms_p90": times.p90, "latency_ms_p99": times.p99}
        return {name: latency} | {
            key: Metric(value=value, unit="ms", n=times.runs, how=how) for key, value in tail.items()
        }

    def _verification(self) -> Verification:
        accuracy = self.accuracy
        sentence = (
            f"{accuracy.agreement:.2f} % of {accuracy.images} packed images keep the class that the file gave where it "
            f"was exported, largest logit difference {accuracy.max_logit_difference:.2g}."
        )
        return Verification(
            images=accuracy.images, agreement=accuracy.agreement, explained_agreement=accuracy.agreement,
            max_logit_difference=accuracy.max_logit_difference, limit=None, good=True, sentence=sentence,
        )  # fmt: skip

    def _remarks(self) -> list[str]:
        images = self.bundle.images
        return [
            f"Accuracy is on {images.count} packed images of {images.of} test images: it does not compare with "
            "accuracies on all of them."
        ]


def read_device_report(path: Path) -> DeviceReport:
    """A device's report.

    Raises:
        EspalierError: when it cannot be read, is no such report, or contradicts itself.
    """
    advice = "Pick the report.json that “python run.py --measure” wrote on the device."
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise EspalierError(f"{path.name} is too large for a device's report.", advice)
        return DeviceReport.model_validate_json(path.read_bytes())
    except OSError as error:
        raise EspalierError(f"{path} cannot be read: {error.strerror or error}.", advice) from error
    except ValidationError as error:
        raise EspalierError(_in_words(path, error), advice, str(error)) from error


def _in_words(path: Path, error: ValidationError) -> str:
    """The first thing that is wrong with the file."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "json_invalid":
        return f"{path.name} is no JSON file, or was cut short."
    if place in ("", "espalier_report") and first["type"] in (
        "missing",
        "model_type",
        "model_attributes_type",
    ):
        return f"Expected a device's report, {path.name} is none."
    if place == "espalier_report":
        return f"{path.name} has another format than {FORMAT}, which this version of Espalier reads."
    reason = first["msg"].removeprefix("Value error, ")
    return f"{path.name} is no proper device's report: {place or 'it'}: {reason[:1].lower()}{reason[1:]}."
