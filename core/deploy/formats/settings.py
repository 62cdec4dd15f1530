"""How a stage is exported: one declaration for the form, the command line and its checks."""

from typing import Annotated

from core.common.params import OneOf, Params, param
from core.deploy.formats.catalogue import FORMATS
from core.deploy.formats.graph import NEWEST, OLDEST


def _formats() -> dict[str, str]:
    return {each.id: f"{each.title}: {each.help}" for each in FORMATS.values()}


class ExportSettings(Params):
    """The settings of one export; the defaults give the run's own ONNX file, byte for byte."""

    format: Annotated[str, OneOf(_formats)] = param(
        "onnx",
        "Format",
        "What is written. Every format is opened again in a fresh process and held against the network.",
    )
    opset: int | None = param(
        None,
        "Operator set",
        "ONNX operator set; empty keeps the file's own. Older runtimes need a lower one; below 18 many operators have no form.",
        ge=OLDEST,
        le=NEWEST,
        step=1,
        advanced=True,
        when="format!=torch-export|torchscript|safetensors",
    )
    batch: int | None = param(
        None,
        "Batch size",
        "Images in a call; empty leaves it open. Some accelerators want a fixed number, mostly 1.",
        unit="images",
        ge=1,
        le=1024,
        step=1,
        when="format!=safetensors",
    )
    preprocessing: bool = param(
        False,
        "Preprocessing inside",
        "The file takes images as they are stored (bytes: red, green, blue), and crops, resizes and normalises them itself.",
        when="format!=safetensors",
    )
    describe: bool = param(
        False,
        "Origin inside",
        "Writes the pipeline's hash, the run and the stage into the ONNX file. It is then no longer byte for byte "
        "the file in the run; other formats always hold them.",
        advanced=True,
        when="format!=torch-export|torchscript|safetensors|openvino",
    )
    card: bool = param(
        False,
        "Model card",
        "Writes what the model is, how it was made and what was measured beside it, as Markdown.",
        when="format!=zip",
    )
    images: int = param(
        200,
        "Test images",
        "How many test images travel along, the same number of each class as far as possible.",
        unit="images",
        ge=10,
        le=10_000,
        step=50,
        when="format=zip",
    )
    latency: bool = param(
        True,
        "Measure latency",
        "Times the exported file here, one image on one thread; nothing else should run meanwhile.",
        advanced=True,
    )
