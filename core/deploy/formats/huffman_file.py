"""The ONNX file in the form in which it takes least room: small whole numbers Huffman-coded (`core.onnx_graph.stored_form`)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.common.temporary import temporary_folder
from core.deploy.formats.base import FormatSettings, OpenedModel, Subject
from core.deploy.formats.onnx_file import OnnxFile
from core.machine.jobs import ProgressCallback, RunJob
from core.onnx_graph.stored_form import SUFFIX, pack, unpack


class HuffmanFile(OnnxFile):
    id = "huffman"
    title = "ONNX, Huffman-coded"
    help = "for storing and sending: 'espalier unpack' gives the ONNX file back, byte for byte; no runtime reads it."
    suffix = SUFFIX
    runtime = "ONNX Runtime on the CPU, once unpacked"

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
        job(pack_file, {"source": str(source), "target": str(target)})
        source.unlink()

    def open(self, path: Path, threads: int) -> OpenedModel:
        """Unpacked into a temporary file, which the session has read when it is gone."""
        with temporary_folder() as folder:
            decoded = folder / f"{path.stem}.onnx"
            unpack(path, decoded)
            return super().open(decoded, threads)


def pack_file(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: write an ONNX file in its stored form.

    Args (as plain data): source, .onnx file; target.

    Raises:
        EspalierError: when the source is no ONNX file.
    """
    pack(Path(arguments["source"]), Path(arguments["target"]))
    progress(1.0, "Huffman-coded")
    return {}
