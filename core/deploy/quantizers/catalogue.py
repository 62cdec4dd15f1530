"""The quantizers that a static INT8 file can be had from: ours, and other tools' in processes of their own.

Another one is an entry here and its script in `resources/quantizers`, which takes the path of a job (JSON: source, a
float32 ONNX file; images and validation, .npy of float32 [n, c, s, s]; batch; keep, names of nodes; target; answer)
and writes the ONNX file and the answer (JSON: seconds, versions, notes). Readable without any of the tools.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from core.common.files import RESOURCES
from core.machine.environments import Environment
from core.machine.optional_packages import extra, not_packaged

OWN = "espalier"
_HONOURED = frozenset({"quantizer", "images"})  # settings that mean the same to every tool


@dataclass(frozen=True, slots=True)
class Quantizer:
    """Another tool's quantizer.

    Attributes:
        id: stable name in pipeline files. title: for people. help: a sentence for the form.
        package: whose version counts. module: what is imported of it.
        requires: what pip installs into an environment of its own.
        extra: of Espalier's, which brings it beside our own libraries; "" where it does not go with them.
        honours: settings of the stage that it follows, beside the number of images.
    """

    id: str
    title: str
    help: str
    package: str
    module: str
    requires: tuple[str, ...] = ()
    extra: str = ""
    honours: frozenset[str] = frozenset()

    @property
    def script(self) -> Path:
        return RESOURCES / "quantizers" / f"{self.id.replace('-', '_')}.py"

    @property
    def environment(self) -> Environment:
        """Its own, whether it is made or not."""
        return Environment(f"quantizer-{self.id}")

    def is_beside(self) -> bool:
        """Whether it is installed beside our own libraries."""
        goes = bool(self.extra) or not self.requires
        return goes and find_spec(self.module) is not None

    def missing(self) -> str:
        """Why it cannot quantize here; "" where it can."""
        if self.is_beside() or self.environment.is_made():
            return ""
        if not self.extra:
            return f"{self.title} needs other versions of libraries than Espalier, and its own environment is not made yet."
        return not_packaged(self.title) or f"{self.title} is not installed."

    def remedy(self) -> str:
        """What installs it."""
        own = f"espalier quantizers add {self.id}"
        return f"Run: pip install {extra(self.extra)}, or {own}." if self.extra else f"Run: {own}."

    def found_version(self) -> str:
        """The version that would quantize; "" where it is missing."""
        if self.is_beside():
            return version(self.package)
        return self.environment.version(self.package)

    def passed_over(self, changed: Mapping[str, object]) -> list[str]:
        """Of the settings that a person changed, those that it would not follow."""
        return [name for name in changed if name not in self.honours | _HONOURED]


_ALL = (
    Quantizer(
        "onnxruntime-defaults",
        "ONNX Runtime's quantizer, defaults",
        "ONNX Runtime's quantizer as it is called without any setting: signed activations, one scale for a whole layer.",
        "onnxruntime", "onnxruntime", honours=frozenset({"keep"}),
    ),
    Quantizer(
        "onnxruntime-best",
        "ONNX Runtime's quantizer, best settings",
        "ONNX Runtime's quantizer by its own advice for x86 (prepared graph, unsigned activations, scales per channel), and of its "
        "three calibrations the one whose answers on validation images are nearest to float's.",
        "onnxruntime", "onnxruntime", honours=frozenset({"keep"}),
    ),
    Quantizer(
        "nncf", "NNCF",
        "Intel's NNCF on the ONNX file, by its defaults: with its own bias correction and float layers.",
        "nncf", "nncf", ("nncf==3.4.0", "onnx==1.23.2", "onnxruntime==1.31.1"), "nncf", frozenset({"keep"}),
    ),
    Quantizer(
        "aimet", "AIMET",
        "Qualcomm's AIMET (aimet-onnx), by its defaults: batch norms folded, signed 8 bits, scales per channel.",
        "aimet-onnx", "aimet_onnx", ("aimet-onnx==2.42.0", "onnx==1.23.2", "onnxruntime==1.31.1"), "aimet",
    ),
    Quantizer(
        "quark", "Quark",
        "AMD's Quark, by its configuration A8W8: signed 8 bits, ranges around zero from the lowest and highest value.",
        "amd-quark", "quark", ("amd-quark==0.13", "onnxruntime==1.31.1", "torch==2.13.0"),
    ),
)  # fmt: skip

QUANTIZERS: dict[str, Quantizer] = {quantizer.id: quantizer for quantizer in _ALL}


def choices() -> dict[str, str]:
    """By id, a sentence on each, ours first."""
    return {OWN: "Espalier's own, with all the settings below."} | {
        quantizer.id: quantizer.help for quantizer in _ALL
    }
