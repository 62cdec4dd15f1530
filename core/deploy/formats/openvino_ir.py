"""OpenVINO's own format (.xml and .bin), converted from the ONNX file; only where OpenVINO is installed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.common.errors import EspalierError
from core.common.library_reasons import reason_of
from core.data.preprocess import Preprocess
from core.deploy.formats.base import FormatSettings, OpenedModel, Subject
from core.deploy.formats.onnx_file import OnnxFile
from core.machine.jobs import ProgressCallback, RunJob
from core.machine.optional_packages import extra, reason_absent
from core.profiling.runtimes.openvino import computing

_SECTION = "espalier"


class OpenVinoIr(OnnxFile):
    id = "openvino"
    title = "OpenVINO IR"
    help = "for Intel processors, graphics and neural units; a pair of files, .xml and .bin."
    suffix = ".xml"
    runtime = "OpenVINO on the CPU, float32"

    def reason_against(self, subject: Subject, settings: FormatSettings) -> str:
        """Needs the library, and its reader (2026.4) drops the smoothing of ONNX's Resize without a word."""
        if reason := reason_absent("OpenVINO", "openvino", extra("openvino")):
            return reason
        if settings.preprocessing:
            return (
                "OpenVINO leaves out the smoothing with which images are made smaller, so it would see others than "
                "the training did. Export it without preprocessing inside."
            )
        return super().reason_against(subject, settings)

    def write(
        self,
        subject: Subject,
        settings: FormatSettings,
        about: Mapping[str, str],
        target: Path,
        job: RunJob,
    ) -> None:
        source = target.with_suffix(".onnx")
        super().write(subject, settings, about, source, job)
        job(write_ir, {"source": str(source), "target": str(target), "about": dict(about)})
        source.unlink()

    def parts(self, target: Path) -> tuple[Path, ...]:
        return target, target.with_suffix(".bin")

    def open(self, path: Path, threads: int) -> OpenedModel:
        import openvino

        core = openvino.Core()
        try:
            model = core.read_model(path)
            description = json.loads(str(model.get_rt_info([_SECTION, "about"]).astype(str)))
            request = core.compile_model(model, "CPU", computing(threads)).create_infer_request()
        except Exception as error:
            raise EspalierError(f"OpenVINO could not open {path.name}.", "", str(error)) from error
        shape = model.input(0).partial_shape
        prepares = model.input(0).element_type == openvino.Type.u8
        batch = shape[0].get_length() if shape[0].is_static else None
        kind = np.uint8 if prepares else np.float32

        def answer(images: np.ndarray) -> np.ndarray:
            result = request.infer([np.ascontiguousarray(images, dtype=kind)])
            logits: np.ndarray = next(iter(result.values())).astype(np.float32)
            return logits

        return OpenedModel(
            answer,
            Preprocess.from_dict(description["preprocess"]),
            tuple(description["classes"]),
            batch,
            prepares,
        )


def write_ir(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: convert an ONNX file to OpenVINO's format, weights in the precision that they have.

    Args (as plain data): source, .onnx file; target, .xml file; about, texts.

    Raises:
        EspalierError: when OpenVINO cannot read the file.
    """
    import onnx
    import openvino

    from core.deploy.onnx_export import metadata_of

    metadata = metadata_of(onnx.load(arguments["source"], load_external_data=False))
    about = {**arguments["about"], **{name: json.loads(metadata[name]) for name in ("classes", "preprocess")}}
    try:
        model = openvino.convert_model(arguments["source"])
        model.set_rt_info(json.dumps(about, ensure_ascii=False), [_SECTION, "about"])
        openvino.save_model(model, arguments["target"], compress_to_fp16=False)
    except Exception as error:
        raise EspalierError(
            f"OpenVINO could not convert the file: {reason_of(error)}.",
            "Export it as ONNX, which OpenVINO reads too.",
            str(error),
        ) from error
    progress(1.0, "Converted to OpenVINO's format")
    return {}
