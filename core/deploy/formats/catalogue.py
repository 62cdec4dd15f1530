"""The formats by id, in the order in which they are offered. Adding one is a file and a line here."""

from pathlib import Path

from core.common.errors import EspalierError
from core.deploy.formats.base import Format
from core.deploy.formats.edge_zip import EdgeZip
from core.deploy.formats.huffman_file import HuffmanFile
from core.deploy.formats.onnx_file import OnnxFile
from core.deploy.formats.openvino_ir import OpenVinoIr
from core.deploy.formats.safetensors_folder import SafetensorsFolder
from core.deploy.formats.torch_program import TorchProgram
from core.deploy.formats.torchscript import TorchScript

_ALL: tuple[Format, ...] = (
    OnnxFile(),
    EdgeZip(),
    TorchProgram(),
    TorchScript(),
    SafetensorsFolder(),
    OpenVinoIr(),
    HuffmanFile(),
)

FORMATS: dict[str, Format] = {each.id: each for each in _ALL}
if len(FORMATS) != len(_ALL):
    raise RuntimeError("two formats share an id")


def format_called(name: str) -> Format:
    """The format called `name`.

    Raises:
        EspalierError: when there is none; the message lists those there are.
    """
    if name not in FORMATS:
        raise EspalierError(f"Expected a format, received {name!r}.", f"Choose one of: {', '.join(FORMATS)}.")
    return FORMATS[name]


def format_for(target: Path) -> Format:
    """The format that a target's name asks for by its ending.

    Raises:
        EspalierError: when no format ends so; the message lists those there are.
    """
    by_ending = {each.suffix: each for each in FORMATS.values() if each.suffix}
    if target.suffix not in by_ending:
        folders = " or ".join(f"--format {each.id}" for each in FORMATS.values() if not each.suffix)
        raise EspalierError(
            f"Expected a name that ends with {', '.join(by_ending)}, received {target.name!r}.",
            f"Change the ending, or name the format; a folder of weights is written by {folders}.",
        )
    return by_ending[target.suffix]
