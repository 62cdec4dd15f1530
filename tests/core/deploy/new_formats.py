"""A file format that Espalier does not have, as somebody would add it: `test_new_format` registers it."""

import gzip
import io
import json
from collections.abc import Mapping
from pathlib import Path

from core.data.preprocess import Preprocess
from core.deploy.formats.base import Format, FormatSettings, OpenedModel, Subject
from core.machine.jobs import RunJob


class PackedOnnx(Format):
    id = "packed"
    title = "Packed ONNX (.onnx.gz)"
    help = "for slow lines; holds every precision."
    suffix = ".gz"
    runtime = "ONNX Runtime, unpacked"

    def reason_against(self, subject: Subject, settings: FormatSettings) -> str:
        return "A packed file keeps the run's own ONNX file." if settings.preprocessing else ""

    def write(
        self, subject: Subject, settings: FormatSettings, about: Mapping[str, str], target: Path, job: RunJob
    ) -> None:
        target.write_bytes(gzip.compress(subject.file.read_bytes(), mtime=0))

    def open(self, path: Path, threads: int) -> OpenedModel:
        import onnxruntime

        from core.deploy.verify import OnnxAnswer, classes_of

        content = gzip.GzipFile(fileobj=io.BytesIO(path.read_bytes())).read()
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        told = session.get_modelmeta().custom_metadata_map
        answer, prepare = OnnxAnswer(session), Preprocess.from_dict(json.loads(told["preprocess"]))
        return OpenedModel(answer, prepare, classes_of(told), answer.batch)
