"""Every colour mode and orientation, checked by pixel values."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import core
from core.data.decode import Misfit, Shape, Undecodable, cut_out, decode, examine, read_shape
from core.data.source import Plan


def saved(picture: Image.Image, kind: str = "PNG", **options: object) -> io.BytesIO:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    file.seek(0)
    return file


def own(picture: Image.Image, channels: int) -> Plan:
    return Plan(picture.height, picture.width, channels)


def flat(mode: str, colour: object, size: tuple[int, int] = (4, 3)) -> Image.Image:
    return Image.new(mode, size, colour)


def pixels(file: io.BytesIO, plan: Plan) -> np.ndarray:
    return decode(file, plan).pixels


def png(depth: int, kind: int, row: bytes, transparent: bytes = b"") -> io.BytesIO:
    """A PNG file of one row of two pixels, for what Pillow cannot write: 16-bit colours."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 2, 1, depth, kind, 0, 0, 0))]
    chunks += [(b"tRNS", transparent)] if transparent else []
    chunks += [(b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    ]
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def tiff(bits: int, photometric: int, strip: bytes) -> io.BytesIO:
    """A TIFF file of one row of two grey pixels."""
    tags = [(256, 2), (257, 1), (258, bits), (259, 1), (262, photometric), (273, 122), (277, 1), (278, 1)]
    tags += [(279, len(strip))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return io.BytesIO(b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0" * 4 + strip)


def pixel(picture: Image.Image, kind: str = "PNG", **options: object) -> list[int]:
    file = saved(picture, kind, **options)
    channels = 1 if read_shape(file).grey else 3
    file.seek(0)
    return pixels(file, own(picture, channels))[0, 0].tolist()


def test_grey_modes_have_one_channel():
    assert pixel(flat("L", 77)) == [77]
    assert pixel(flat("1", 1)) == [255]
    assert pixel(flat("LA", (0, 255))) == [0]


def test_transparency_is_put_over_white():
    assert pixel(flat("RGBA", (200, 0, 100, 0))) == [255, 255, 255]
    assert pixel(flat("RGBA", (200, 0, 100, 255))) == [200, 0, 100]
    # Half of red over white: 255, 255 - 128, 255 - 128.
    assert pixel(flat("RGBA", (255, 0, 0, 128))) == [255, 127, 127]
    assert pixel(flat("LA", (0, 128))) == [127]
    assert pixel(flat("RGB", (1, 2, 3)), transparency=(1, 2, 3)) == [255, 255, 255]


def test_palettes_become_colours():
    palette = flat("P", 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    assert pixel(palette) == [10, 20, 30]
    assert pixel(palette, transparency=1) == [255, 255, 255]


def test_cmyk_becomes_rgb():
    assert pixel(flat("CMYK", (0, 255, 255, 0)), "TIFF") == [255, 0, 0]
    red, green, blue = pixel(flat("CMYK", (0, 255, 255, 0)), "JPEG", quality=95)
    assert red > 245 and green < 10 and blue < 10


def test_16_bit_grey_is_scaled_to_8_bits():
    values = np.array([[0, 128, 129, 65535]], np.uint16)
    decoded = pixels(saved(Image.fromarray(values)), Plan(1, 4, 1))
    # (v + 128) // 257: 257 grey values of 16 bits become one of 8.
    assert decoded[0, :, 0].tolist() == [0, 0, 1, 255]


def test_16_bit_grey_pgm_is_scaled_to_8_bits():
    file = io.BytesIO(b"P5 2 1 65535\n" + struct.pack(">HH", 129, 65535))
    assert pixels(file, Plan(1, 2, 1))[0, :, 0].tolist() == [1, 255]


def test_16_bit_colours_keep_their_upper_8_bits():
    colours = struct.pack(">6H", 0x00FF, 0x8000, 0xFFFF, 0x1234, 0x56FF, 0xFF00)
    assert pixels(png(16, 2, colours), Plan(1, 2, 3)).tolist() == [[[0, 128, 255], [0x12, 0x56, 255]]]


def test_16_bit_grey_with_transparency_is_put_over_white():
    with_alpha = png(16, 4, struct.pack(">4H", 0x4000, 0xFFFF, 0x4000, 0))
    assert pixels(with_alpha, Plan(1, 2, 3)).tolist() == [[[64] * 3, [255] * 3]]
    one_value_transparent = png(16, 0, struct.pack(">2H", 1000, 1001), struct.pack(">H", 1000))
    assert pixels(one_value_transparent, Plan(1, 2, 1))[0, :, 0].tolist() == [255, 4]


def test_12_bit_grey_is_scaled_to_8_bits():
    # Two values of 12 bits are three bytes: 0xFFF and 0x008.
    assert pixels(tiff(12, 1, b"\xff\xf0\x08"), Plan(1, 2, 1))[0, :, 0].tolist() == [255, 0]
    assert pixels(tiff(12, 1, b"\x80\x00\x09"), Plan(1, 2, 1))[0, :, 0].tolist() == [128, 1]


def test_16_bit_grey_whose_zero_is_white():
    values = struct.pack("<HH", 0, 65535)
    assert pixels(tiff(16, 0, values), Plan(1, 2, 1))[0, :, 0].tolist() == [255, 0]
    assert pixels(tiff(16, 1, values), Plan(1, 2, 1))[0, :, 0].tolist() == [0, 255]


def test_pixels_without_a_known_range_are_refused():
    with pytest.raises(Undecodable, match="floating-point pixels, whose brightness range is not known"):
        read_shape(saved(flat("F", 0.5), "TIFF"))
    for value in (100, 70000):
        with pytest.raises(Undecodable, match="32-bit or signed pixels, whose brightness range is not known"):
            read_shape(saved(flat("I", value), "TIFF"))


def test_orientation_is_applied():
    values = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90° clockwise to show it
    file = saved(Image.fromarray(values), "PNG", exif=exif)
    assert read_shape(file) == Shape(4, 3, True)
    file.seek(0)
    assert np.array_equal(pixels(file, Plan(4, 3, 1))[..., 0], np.rot90(values, -1))


ORIENTATIONS = {
    1: lambda values: values,
    2: np.fliplr,
    3: lambda values: np.rot90(values, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda values: np.rot90(values, -1),
    7: lambda values: np.rot90(values, 2).T,
    8: np.rot90,
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_orientation_in_every_format(kind, orientation):
    values = np.zeros((16, 32), np.uint8)
    values[:8, :8], values[8:, :8] = 240, 120  # so that no two orientations look alike
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100}}.get(kind, {})
    file = saved(Image.fromarray(values).convert("RGB"), kind, exif=exif, **options)
    upright = ORIENTATIONS[orientation](values)
    most = 3 if kind == "JPEG" else 0
    assert np.abs(pixels(file, Plan(*upright.shape, 3))[..., 1].astype(int) - upright).max() <= most
    file.seek(0)
    assert examine(file)[0] == Shape(
        *upright.shape, False
    )  # of images that are kept as their files hold them
    top, left = np.array(upright.shape) - 16
    for box in ((0, 0, 16, 16), (top, left, 16, 16)):
        file.seek(0)
        part = cut_out(file, box, 16, 3)[..., 1].astype(int)
        assert np.abs(part - upright[box[0] : box[0] + 16, box[1] : box[1] + 16]).max() <= most


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_orientation_leaves_the_image_as_it_is():
    file = saved(flat("RGB", (9, 9, 9)), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert read_shape(file) == Shape(3, 4, False)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_an_animation(kind):
    frames = [flat("RGB", (10, 20, 30)), flat("RGB", (200, 0, 0)), flat("RGB", (0, 200, 0))]
    options = {"lossless": True} if kind == "WEBP" else {}
    file = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    decoded = decode(file, Plan(3, 4, 3))
    assert decoded.animated and decoded.pixels.tolist() == [[[10, 20, 30]] * 4] * 3
    still = decode(saved(frames[1], kind, **options), Plan(3, 4, 3))
    assert not still.animated and still.pixels.tolist() == [[[200, 0, 0]] * 4] * 3


def test_a_transparent_animation_is_put_over_white():
    frames = [flat("RGBA", (0, 0, 0, 0)), flat("RGBA", (200, 0, 0, 255))]
    file = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert pixels(file, Plan(3, 4, 3))[0, 0].tolist() == [255, 255, 255]


def test_a_cameras_preview_is_no_animation():
    picture = flat("RGB", (90, 90, 90), (16, 16))
    file = saved(picture, "MPO", save_all=True, append_images=[picture])
    decoded = decode(file, Plan(16, 16, 3))
    assert not decoded.animated and decoded.pixels[0, 0].tolist() == [90, 90, 90]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP"])
def test_an_image_of_one_pixel(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    file = saved(flat("RGB", (255, 255, 255), (1, 1)), kind, **options)
    assert pixels(file, Plan(1, 1, 3)).tolist() == [[[255, 255, 255]]]
    file.seek(0)
    assert pixels(file, Plan(8, 8, 3, keep_size=False)).tolist() == [[[255, 255, 255]] * 8] * 8


@pytest.mark.parametrize("size", [(2000, 1), (1, 2000), (3000, 40), (41, 3001), (2, 3)])
@pytest.mark.parametrize("resize", ["crop", "stretch"])
def test_any_shape_becomes_a_square(size, resize):
    values = np.linspace(0, 255, size[0] * size[1]).reshape(size[1], size[0]).astype(np.uint8)
    decoded = pixels(saved(Image.fromarray(values)), Plan(16, 16, 1, keep_size=False, resize=resize))
    assert decoded.shape == (16, 16, 1)
    # A ramp's mean is its middle, cut or whole.
    assert decoded.mean() == pytest.approx(127.5, abs=4)


def test_grey_is_repeated_where_the_plan_has_colour():
    assert pixels(saved(flat("L", 5)), Plan(3, 4, 3)).tolist() == [[[5, 5, 5]] * 4] * 3


def test_what_does_not_fit_the_plan_is_reported():
    with pytest.raises(Misfit) as caught:
        pixels(saved(flat("RGB", (1, 1, 1))), Plan(3, 4, 1))
    assert caught.value.shape == Shape(3, 4, False)
    with pytest.raises(Misfit):
        pixels(saved(flat("L", 1)), Plan(4, 4, 1))


def halves(kind: str = "PNG") -> io.BytesIO:
    """60 × 20: black, white, black thirds."""
    values = np.zeros((20, 60), np.uint8)
    values[:, 20:40] = 255
    return saved(Image.fromarray(values), kind)


def test_crop_keeps_the_centre_and_stretch_keeps_all():
    cropped = pixels(halves(), Plan(10, 10, 1, keep_size=False, resize="crop"))
    whole = Image.open(halves()).resize((30, 10), Image.Resampling.BILINEAR)
    assert np.array_equal(cropped[..., 0], np.asarray(whole)[:, 10:20])
    assert cropped[:, 1:-1].min() == 255
    stretched = pixels(halves(), Plan(12, 12, 1, keep_size=False, resize="stretch"))[..., 0]
    assert stretched[:, 0].max() == 0 and stretched[:, 6].min() == 255
    assert stretched.mean() == pytest.approx(255 / 3, abs=1)


def test_resizing_is_antialiased():
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    decoded = pixels(saved(Image.fromarray(stripes)), Plan(8, 8, 1, keep_size=False))
    assert np.abs(decoded[:, 1:-1].astype(int) - 128).max() <= 2


def test_large_jpegs_are_decoded_near_the_wanted_size_to_the_same_image(pictures):
    large = Image.fromarray(pictures[0]).resize((672, 672), Image.Resampling.BICUBIC)
    small = pixels(saved(large, "JPEG", quality=95), Plan(56, 56, 1, keep_size=False))[..., 0]
    longhand = np.asarray(large.resize((56, 56), Image.Resampling.BILINEAR))
    assert np.abs(small.astype(int) - longhand).mean() < 2


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_too_many_pixels_are_refused_before_decoding(monkeypatch):
    file = saved(flat("L", 0, (100, 50)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4_000)
    with pytest.raises(Undecodable, match=r"^0.005 million pixels, more than the limit of 0.004 million$"):
        read_shape(file)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2_000)
    file.seek(0)
    with pytest.raises(Undecodable, match=r"^far more pixels than the limit of 0.002 million$"):
        read_shape(file)


def test_damaged_files_have_a_reason():
    with pytest.raises(Undecodable, match="not a known image format, or damaged at its beginning"):
        read_shape(io.BytesIO(b"nothing like an image"))
    with pytest.raises(Undecodable, match="empty: the file has 0 bytes"):
        read_shape(io.BytesIO())


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM"])
def test_truncated_files_are_refused_in_every_format(kind):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    whole = saved(Image.fromarray(noise), kind).getvalue()
    for share in (0.5, 0.9):
        with pytest.raises(Undecodable, match=r"damaged: (image file is truncated|could not create decoder)"):
            read_shape(io.BytesIO(whole[: int(len(whole) * share)]))
        with pytest.raises(Undecodable):
            pixels(io.BytesIO(whole[: int(len(whole) * share)]), Plan(8, 8, 3, keep_size=False))


NOT_PIXELS = {
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 28 28\n%%EndComments\nshowpage\n%%EOF\n",
    "a PDF": b"%PDF-1.4\n1 0 obj << /Type /Catalog >> endobj\n",
    "a Windows metafile": b"\xd7\xcd\xc6\x9a\0\0" + struct.pack("<hhhhH", 0, 0, 28, 28, 72) + bytes(30),
    "an SVG": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    "a FITS table": b"SIMPLE  =                    T" + b" " * 2850,
}


@pytest.mark.parametrize("kind", NOT_PIXELS)
def test_only_formats_of_pixels_are_opened(kind, monkeypatch):
    """A file that is called .png may be a program for Ghostscript, to which Pillow would hand it."""

    def started(*arguments: object, **options: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr("subprocess.Popen", started)
    with pytest.raises(Undecodable, match="not a known image format"):
        read_shape(io.BytesIO(NOT_PIXELS[kind]))


def test_nothing_but_decode_opens_images_with_pillow():
    sources = Path(core.__file__).parents[1]
    places = [
        path.relative_to(sources).as_posix()
        for package in ("core", "gui", "resources")
        for path in sorted((sources / package).rglob("*.py"))
        if "Image.open(" in path.read_text(encoding="utf-8")
    ]
    assert places == ["core/data/decode.py", "resources/edge/run.py"]
    assert "formats=FORMATS" in (sources / "resources" / "edge" / "run.py").read_text(encoding="utf-8")
