"""ONNX: the run's own file, as it is or with another operator set, a fixed batch, preprocessing inside."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from core.common.errors import EspalierError
from core.data.preprocess import Preprocess
from core.deploy.formats.base import Format, FormatSettings, OpenedModel, Subject
from core.deploy.formats.graph import OPSET_OF_RESIZE, convert
from core.machine.jobs import RunJob


class OnnxFile(Format):
    id = "onnx"
    title = "ONNX"
    help = "for ONNX Runtime, TensorRT, OpenVINO and most accelerators; holds every precision."
    suffix = ".onnx"
    runtime = "ONNX Runtime on the CPU"
    process = "measure"

    def reason_against(self, subject: Subject, settings: FormatSettings) -> str:
        """The smoothing resize came with operator set 18."""
        if settings.preprocessing and settings.opset is not None and settings.opset < OPSET_OF_RESIZE:
            return (
                f"Preprocessing inside needs operator set {OPSET_OF_RESIZE} or newer: older ones cannot "
                "make images smaller as the training did."
            )
        return ""

    def write(
        self,
        subject: Subject,
        settings: FormatSettings,
        about: Mapping[str, str],
        target: Path,
        job: RunJob,
    ) -> None:
        """A copy, byte for byte, unless something is to change."""
        if not (settings.opset or settings.batch or settings.preprocessing or settings.describe):
            shutil.copyfile(subject.file, target)
            return
        job(convert, {
            "source": str(subject.file), "target": str(target), "about": dict(about),
            "opset": settings.opset, "batch": settings.batch, "preprocessing": settings.preprocessing,
        })  # fmt: skip

    def open(self, path: Path, threads: int) -> OpenedModel:
        """In a session as the measurements use it."""
        from core.deploy.verify import OnnxAnswer, classes_of
        from core.profiling.session import open_session

        session = open_session(path, threads)
        metadata = session.get_modelmeta().custom_metadata_map
        if "preprocess" not in metadata:
            raise EspalierError(
                f"{path.name} does not say how images have to be prepared for it.",
                "Give image size and normalisation in the pipeline's source.",
            )
        answer, prepare = OnnxAnswer(session), Preprocess.from_json(metadata["preprocess"])
        return OpenedModel(
            answer, prepare, classes_of(metadata), answer.batch, prepares=answer.kind is np.uint8
        )
