"""Every colour mode and orientation, checked by pixel values."""

import io

import numpy as np
import pytest
from PIL import Image

from core.data.decode import Misfit, Shape, Undecodable, decode, look
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


def pixel(picture: Image.Image, kind: str = "PNG", **options: object) -> list[int]:
    file = saved(picture, kind, **options)
    channels = 1 if look(file).grey else 3
    file.seek(0)
    return decode(file, own(picture, channels))[0, 0].tolist()


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
    decoded = decode(saved(Image.fromarray(values)), Plan(1, 4, 1))
    # (v + 128) // 257: 257 grey values of 16 bits become one of 8.
    assert decoded[0, :, 0].tolist() == [0, 0, 1, 255]


def test_pixels_without_a_known_range_are_refused():
    with pytest.raises(Undecodable, match="floating-point pixels, whose brightness range is not known"):
        look(saved(flat("F", 0.5), "TIFF"))
    with pytest.raises(Undecodable, match="32-bit pixels, whose brightness range is not known"):
        look(saved(flat("I", 70000), "TIFF"))


def test_orientation_is_applied():
    values = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90° clockwise to show it
    file = saved(Image.fromarray(values), "PNG", exif=exif)
    assert look(file) == Shape(4, 3, True)
    file.seek(0)
    assert np.array_equal(decode(file, Plan(4, 3, 1))[..., 0], np.rot90(values, -1))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_orientation_leaves_the_image_as_it_is():
    file = saved(flat("RGB", (9, 9, 9)), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert look(file) == Shape(3, 4, False)


def test_the_first_frame_of_an_animation():
    frames = [flat("L", 10), flat("L", 200)]
    file = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(file, Plan(3, 4, 3))[0, 0].tolist() == [10, 10, 10]


def test_grey_is_repeated_where_the_plan_has_colour():
    assert decode(saved(flat("L", 5)), Plan(3, 4, 3)).tolist() == [[[5, 5, 5]] * 4] * 3


def test_what_does_not_fit_the_plan_is_reported():
    with pytest.raises(Misfit) as caught:
        decode(saved(flat("RGB", (1, 1, 1))), Plan(3, 4, 1))
    assert caught.value.shape == Shape(3, 4, False)
    with pytest.raises(Misfit):
        decode(saved(flat("L", 1)), Plan(4, 4, 1))


def halves(kind: str = "PNG") -> io.BytesIO:
    """60 × 20: black, white, black thirds."""
    values = np.zeros((20, 60), np.uint8)
    values[:, 20:40] = 255
    return saved(Image.fromarray(values), kind)


def test_crop_keeps_the_centre_and_stretch_keeps_all():
    cropped = decode(halves(), Plan(10, 10, 1, own=False, resize="crop"))
    whole = Image.open(halves()).resize((30, 10), Image.Resampling.BILINEAR)
    assert np.array_equal(cropped[..., 0], np.asarray(whole)[:, 10:20])
    assert cropped[:, 1:-1].min() == 255
    stretched = decode(halves(), Plan(12, 12, 1, own=False, resize="stretch"))[..., 0]
    assert stretched[:, 0].max() == 0 and stretched[:, 6].min() == 255
    assert stretched.mean() == pytest.approx(255 / 3, abs=1)


def test_resizing_is_antialiased():
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    decoded = decode(saved(Image.fromarray(stripes)), Plan(8, 8, 1, own=False))
    assert np.abs(decoded[:, 1:-1].astype(int) - 128).max() <= 2


def test_large_jpegs_are_decoded_near_the_wanted_size_to_the_same_image(pictures):
    large = Image.fromarray(pictures[0]).resize((672, 672), Image.Resampling.BICUBIC)
    small = decode(saved(large, "JPEG", quality=95), Plan(56, 56, 1, own=False))[..., 0]
    longhand = np.asarray(large.resize((56, 56), Image.Resampling.BILINEAR))
    assert np.abs(small.astype(int) - longhand).mean() < 2


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_too_many_pixels_are_refused_before_decoding(monkeypatch):
    file = saved(flat("L", 0, (100, 50)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4_000)
    with pytest.raises(Undecodable, match=r"^0.005 million pixels, more than the limit of 0.004 million$"):
        look(file)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2_000)
    file.seek(0)
    with pytest.raises(Undecodable, match=r"^far more pixels than the limit of 0.002 million$"):
        look(file)


def test_damaged_files_have_a_reason():
    with pytest.raises(Undecodable, match="not a known image format, or damaged at its beginning"):
        look(io.BytesIO(b"nothing like an image"))
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    whole = saved(Image.fromarray(noise), "JPEG").getvalue()
    with pytest.raises(Undecodable, match="damaged: image file is truncated"):
        look(io.BytesIO(whole[: len(whole) // 2]))
