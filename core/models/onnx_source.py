"""An ONNX file as the start of a pipeline: the declaration (no torch, no onnxruntime)."""

from typing import Any, Literal

from core.common.params import Params, param
from core.data.preprocess import HALF, IMAGENET, Normalisation, Preprocess

_NORMALISATIONS: dict[str, Normalisation] = {
    "imagenet": IMAGENET,
    "half": HALF,
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}


class OnnxSettings(Params):
    """A classifier that exists as an ONNX file only; deployment stages continue it.

    Files exported by Espalier say how images are prepared; for others a person says it here.
    """

    path: str = param(
        ...,
        "ONNX file",
        "An image classifier with one input [batch, 3, size, size] and one output [batch, classes].",
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
    normalisation: Literal["imagenet", "half", "unit"] = param(
        "imagenet",
        "Normalisation",
        "Mean and deviation that the network was trained with; used where an image size is given.",
        when="image_size",
        choices={
            "imagenet": "Mean (0.485, 0.456, 0.406), deviation (0.229, 0.224, 0.225).",
            "half": "0.5 and 0.5: the range −1…1.",
            "unit": "0 and 1: the range 0…1.",
        },
    )

    def preprocess(self) -> dict[str, Any] | None:
        """How images are prepared (`Preprocess.as_dict`), or None: the file says it."""
        if self.image_size is None:
            return None
        mean, std = _NORMALISATIONS[self.normalisation]
        return Preprocess(self.image_size, 3, mean, std).as_dict()
