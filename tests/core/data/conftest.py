"""Small real images for the tests of `core.data`, cut out of the bundled sample."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.sample import FILE, sample_folder
from core.data.settings import DataSettings
from core.data.store import ImageData, open_data

Maker = Callable[..., Path]


@pytest.fixture(scope="session")
def pictures() -> np.ndarray:
    """The first 60 test images of the bundled sample: uint8 [60, 28, 28]."""
    with np.load(sample_folder() / FILE, allow_pickle=False) as arrays:
        return arrays["test_images"][:60]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def sample_data(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    """The bundled sample, decoded once for all tests."""
    return open_data(DataSettings(), tmp_path_factory.mktemp("sample-cache"))


@pytest.fixture
def make_folder(tmp_path: Path, pictures: np.ndarray) -> Maker:
    """Writes images into folders: `make_folder({"cats": 3, "train/dogs": 2}, colour=True)`."""

    def make(
        counts: dict[str, int],
        name: str = "images",
        colour: bool = False,
        ending: str = ".png",
        size: tuple[int, int] = (28, 28),
    ) -> Path:
        root = tmp_path / name
        number = 0
        for place, count in counts.items():
            (root / place).mkdir(parents=True, exist_ok=True)
            for index in range(count):
                picture = Image.fromarray(pictures[number % len(pictures)]).resize(size)
                if colour:
                    picture = Image.merge(
                        "RGB", (picture, picture.transpose(Image.Transpose.ROTATE_90).resize(size), picture)
                    )
                picture.save(root / place / f"{index:03}{ending}")
                number += 1
        return root

    return make


@pytest.fixture
def open_folder(cache: Path) -> Callable[..., ImageData]:
    """Opens a folder or zip file with the test's cache: `open_folder(path, image_size=16)`."""

    def open_it(path: Path, **settings: object) -> ImageData:
        return open_data(DataSettings(source="folder", path=str(path), **settings), cache)

    return open_it
