"""The data that stages are tried on."""

import pytest
from small_stages import small_data

from core.data.image_data import ImageData


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    return small_data(tmp_path_factory.mktemp("data"))
