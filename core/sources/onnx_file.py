"""A classifier that exists as an ONNX file only."""

from pathlib import Path
from typing import Literal

from core.common.params import Params, param
from core.common.paths import existing
from core.data.preprocess import HALF, IMAGENET, Normalisation, Preprocess
from core.deploy.received_onnx import Reading
from core.sources.base import FileSource

_NORMALISATIONS: dict[str, Normalisation] = {
    "imagenet": IMAGENET,
    "half": HALF,
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "bytes": ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
}


class OnnxSettings(Params):
    """A classifier that exists as an ONNX file only; deployment stages continue it.

    Files exported by Espalier say how images are prepared; for others a person says it here.
    """

    path: str = param(
        ...,
        "ONNX file",
        "An image classifier: one batch of square images in, one number for each class out.",
        path="file:ONNX (*.onnx)",
        min_length=1,
    )
    image_size: int | None = param(
        None,
        "Image size",
        "Side of the square that the network sees; empty reads it from the file's own description.",
        unit="px",
        ge=8,
        le=1024,
        step=8,
    )
    normalisation: Literal["imagenet", "half", "unit", "bytes"] = param(
        "imagenet",
        "Normalisation",
        "Mean and deviation that the network was trained with; used where an image size is given.",
        when="image_size",
        choices={
            "imagenet": "Mean (0.485, 0.456, 0.406), deviation (0.229, 0.224, 0.225).",
            "half": "0.5 and 0.5: the range −1…1.",
            "unit": "0 and 1: the range 0…1.",
            "bytes": "None: values as they are stored, 0…255.",
        },
    )
    output: str = param(
        "",
        "Output",
        "Name of the output with the classes' numbers, for files with several that could be it; empty finds it.",
        advanced=True,
    )
    class_names: Literal["match", "ignore"] = param(
        "match",
        "Class names",
        "What class names in the file are for.",
        choices={
            "match": "They say which output is which class; without any, the data set's order does.",
            "ignore": "They are passed over; the data set's order says it.",
        },
        advanced=True,
    )


class OnnxFileSource(FileSource[OnnxSettings]):
    """See the module's documentation."""

    id = "onnx"
    title = "ONNX file"
    help = "A classifier that exists as a file only; stages on the exported file continue it."
    Settings = OnnxSettings

    def file(self, settings: OnnxSettings, base: Path) -> Path:
        return existing(settings.path, base)

    def reading(self, settings: OnnxSettings) -> Reading:
        prepare = None
        if settings.image_size is not None:
            mean, std = _NORMALISATIONS[settings.normalisation]
            prepare = Preprocess(settings.image_size, 3, mean, std)
        return Reading(
            Path(settings.path).name, prepare, settings.output, settings.class_names == "match", alone=True
        )
