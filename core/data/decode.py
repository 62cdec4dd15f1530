"""One image file to an array of bytes, whatever its format, colour mode and orientation.

`h` × `w` pixels with `c` channels, uint8: 1 for grey images, 3 (red, green, blue) otherwise.
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError

from core.common.placeholder_files import stand_in
from core.data.source import Plan

# Pillow warns on standard error about what becomes a problem with a path and a reason here: very
# large images, damaged metadata.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

FORMATS: tuple[str, ...] = (
    "JPEG", "MPO", "PNG", "BMP", "DIB", "GIF", "WEBP", "AVIF", "TIFF", "PPM", "JPEG2000", "TGA",
)  # fmt: skip
"""What is opened, whatever a file is called: formats of pixels. Pillow would hand PostScript to an interpreter."""
_LOOKED_AT = 256  # bytes
_LARGE = 40_000_000  # pixels; photographs have fewer
_one_large = threading.Lock()
_GREY_MODES = {"1", "L", "LA", "La"}
_16_BIT_FORMATS = {"PNG", "PPM"}
"""Of these, Pillow opens 16-bit grey as 32-bit integers, in 0…65535."""
_ON_ITS_SIDE = {5, 6, 7, 8}  # orientations of EXIF
_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _WHITE_IS_ZERO = 256, 257, 258, 262, 0  # TIFF tags and a value


class Undecodable(Exception):
    """The file cannot become an image; the text is the reason, for a person."""


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """An image.

    Attributes:
        pixels: uint8 [h, w, c] of the plan.
        animated: the file has several frames or pages, of which this is the first.
    """

    pixels: np.ndarray
    animated: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """What an image is like once it is upright."""

    height: int
    width: int
    grey: bool


class Misfit(Exception):
    """The image is not as the plan expects; `shape` is its actual shape."""

    def __init__(self, shape: Shape):
        super().__init__(str(shape))
        self.shape = shape


def decode(file: BinaryIO, plan: Plan) -> Decoded:
    """The first frame of an image file, upright, over white where transparent, as the plan wants it.

    12- and 16-bit grey is scaled to 8 bits; CMYK, palettes and other colour spaces become RGB.

    Raises:
        Undecodable: the file is damaged, too large, encrypted or of an unknown kind.
        Misfit: another size, or colour where the plan says grey.
    """
    begun = _begun(file)
    with _room_for(begun):
        picture, animated = _loaded(begun, (plan.width, plan.height) if not plan.keep_size else None)
        shape = Shape(picture.height, picture.width, picture.mode == "L")
        if plan.channels == 1 and not shape.grey:
            raise Misfit(shape)
        if plan.keep_size and (shape.height, shape.width) != (plan.height, plan.width):
            raise Misfit(shape)
        if plan.channels == 3 and shape.grey:
            picture = picture.convert("RGB")
        if not plan.keep_size:
            picture = _make_square(picture, plan)
        return Decoded(np.asarray(picture).reshape(plan.height, plan.width, plan.channels), animated)


def examine(file: BinaryIO) -> tuple[Shape, bool]:
    """Size and kind of an image as `read_shape`, and whether it is the first of several; all of the file is looked at.

    A JPEG file is decoded at an eighth of its size, which reads every byte and costs half.

    Raises:
        Undecodable: as `decode`.
    """
    begun = _begun(file)
    with _room_for(begun):
        width, height = _upright_size(begun)
        picture, animated = _loaded(begun, (1, 1))
    return Shape(height, width, picture.mode == "L"), animated


def cut_out(file: BinaryIO, box: tuple[int, int, int, int], side: int, channels: int) -> np.ndarray:
    """A part of an image as a square: uint8 [side, side, channels].

    Where the part has at least four times as many pixels a side as are wanted, a JPEG file is decoded at a half, quarter
    or eighth of its size; else this is to crop and to resize, as torchvision does both with Pillow's images.

    Args:
        box: top, left, height and width in pixels of the upright image.

    Raises:
        Undecodable: as `decode`.
    """
    begun = _begun(file)
    shrunk = min(box[2:]) // (2 * side)
    with _room_for(begun):
        width, height = _upright_size(begun)
        near = (begun.width // (2 * shrunk), begun.height // (2 * shrunk)) if shrunk > 1 else None
        picture, _ = _loaded(begun, near)
        picture = picture.convert("L" if channels == 1 else "RGB")
        if (picture.width, picture.height) == (width, height):
            return resized_part(picture, box, side)
        across, down = picture.width / width, picture.height / height
        top, left, high, wide = box
        place = (left * across, top * down, (left + wide) * across, (top + high) * down)
        part = picture.resize((side, side), Image.Resampling.BILINEAR, box=place)
        return np.asarray(part).reshape(side, side, channels)


def resized_part(picture: Image.Image, box: tuple[int, int, int, int], side: int) -> np.ndarray:
    """The part of an image as a square, antialiased: uint8 [side, side, c].

    Args:
        box: top, left, height and width in pixels.
    """
    top, left, height, width = box
    part = picture.crop((left, top, left + width, top + height))
    return np.asarray(part.resize((side, side), Image.Resampling.BILINEAR)).reshape(side, side, -1)


def read_shape(file: BinaryIO) -> Shape:
    """Size and kind of an image, by decoding it.

    Raises:
        Undecodable: as `decode`.
    """
    begun = _begun(file)
    with _room_for(begun):
        picture, _ = _loaded(begun, None)
        return Shape(picture.height, picture.width, picture.mode == "L")


def open_image(file: BinaryIO) -> ImageFile.ImageFile:
    """An image of one of `FORMATS`, not decoded yet: the one place where Pillow opens a file.

    Raises:
        Exception: of many kinds, where it is none (Pillow's plugins raise almost anything).
    """
    Image.init()
    return Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])


def _begun(file: BinaryIO) -> ImageFile.ImageFile:
    """The image with its header read, and not larger than it may be."""
    start = file.read(_LOOKED_AT)
    if not start:
        raise Undecodable("empty: the file has 0 bytes")
    if words := stand_in(start)[0]:
        raise Undecodable(f"{words}, not an image")
    file.seek(0)
    with _in_words():
        picture = open_image(file)
        _check_pixels(picture)
    return picture


def _room_for(picture: Image.Image) -> AbstractContextManager[Any]:
    """Held while an image is decoded: of large ones, which a few bytes can announce, only one takes memory at a time."""
    return _one_large if picture.width * picture.height > _LARGE else nullcontext()


def _loaded(picture: ImageFile.ImageFile, target_size: tuple[int, int] | None) -> tuple[Image.Image, bool]:
    """The upright image in mode L or RGB, and whether it is the first of several.

    JPEG files are decoded near the target size (fast).
    """
    with _in_words():
        # The second picture in a camera's MPO file is a preview or another view of the first.
        animated = bool(getattr(picture, "is_animated", False)) and picture.format != "MPO"
        if target_size is not None:
            picture.draft(None, (2 * target_size[0], 2 * target_size[1]))
        picture.load()
        return _to_plain_mode(_upright(picture)), animated


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except Undecodable:
        raise
    except Exception as error:  # Pillow's plugins raise almost anything on damaged files.
        raise Undecodable(_reason(error)) from error


def _check_pixels(picture: Image.Image) -> None:
    pixels, most = picture.width * picture.height, Image.MAX_IMAGE_PIXELS
    if most is not None and pixels > most:
        raise Undecodable(
            f"{pixels / 1e6:.3g} million pixels, more than the limit of {most / 1e6:.3g} million"
        )


def _upright_size(picture: ImageFile.ImageFile) -> tuple[int, int]:
    """Width and height of an image that is not loaded yet, once it is upright; as they are where the metadata are damaged."""
    width, height = picture.size
    if picture.format == "TIFF":  # whose size Pillow says upright already
        tags: Any = picture
        width, height = tags.tag_v2[_WIDTH], tags.tag_v2[_HEIGHT]
    try:
        turned = picture.getexif().get(ExifTags.Base.Orientation) in _ON_ITS_SIDE
    except Exception:
        return width, height
    return (height, width) if turned else (width, height)


def _upright(picture: Image.Image) -> Image.Image:
    """Turned as the EXIF orientation says; as it is where the metadata are damaged."""
    try:
        ImageOps.exif_transpose(picture, in_place=True)
    except Exception:
        return picture
    return picture


def _to_plain_mode(picture: Image.Image) -> Image.Image:
    if picture.mode == "F":
        raise Undecodable("floating-point pixels, whose brightness range is not known")
    if picture.mode.startswith("I"):
        return _from_16_bits(picture)
    grey = picture.mode in _GREY_MODES
    if picture.has_transparency_data:
        colours = picture.convert("RGBA")
        white = Image.new("RGBA", colours.size, "white")
        picture = Image.alpha_composite(white, colours)
    return picture if picture.mode == ("L" if grey else "RGB") else picture.convert("L" if grey else "RGB")


def _from_16_bits(picture: Image.Image) -> Image.Image:
    """0…65535 to 0…255, rounded; 0…4095 where a TIFF file says that it has 12 bits."""
    if picture.mode == "I" and picture.format not in _16_BIT_FORMATS:
        raise Undecodable("32-bit or signed pixels, whose brightness range is not known")
    tags = getattr(picture, "tag_v2", {})
    largest = 2 ** tags.get(_BITS, (16,))[0] - 1
    values = np.asarray(picture).astype(np.int64)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        values = largest - values
    if "transparency" in picture.info:
        values[values == picture.info["transparency"]] = largest
    return Image.fromarray(((values * 255 + largest // 2) // largest).astype(np.uint8))


def _make_square(picture: Image.Image, plan: Plan) -> Image.Image:
    """Antialiased to the plan's size: the centre square, or the whole image stretched."""
    width, height = picture.size
    box = (0.0, 0.0, float(width), float(height))
    if plan.resize == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
    return picture.resize((plan.width, plan.height), Image.Resampling.BILINEAR, box=box)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not a known image format, or damaged at its beginning"
    if isinstance(error, Image.DecompressionBombError):
        most = Image.MAX_IMAGE_PIXELS or 0
        return f"far more pixels than the limit of {most / 1e6:.3g} million"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    return f"damaged: {error}" if str(error) else f"damaged: {type(error).__name__}"
