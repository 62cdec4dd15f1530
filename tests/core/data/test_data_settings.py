"""The data section of a pipeline."""

import pytest
from pydantic import ValidationError

from core.data.settings import Augmentation, DataSettings


def test_plain_data_and_back():
    settings = DataSettings(
        source="folder", path="x", image_size=64, augmentation=Augmentation(rotation=5, shift=4)
    )
    assert DataSettings.model_validate(settings.model_dump(mode="json")) == settings


@pytest.mark.parametrize("model", [Augmentation, DataSettings])
def test_every_field_says_what_it_is(model):
    for name, field in model.model_fields.items():
        assert field.title and field.description and field.description.endswith("."), name


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("image_size", 7, "Input should be greater than or equal to 8"),
        ("resize", "pad", "Input should be 'crop' or 'stretch'"),
        ("test_fraction", 0.5, "Input should be less than 0.5"),
        ("validation_fraction", 0, "Input should be greater than 0"),
        ("train_images", 1, "Input should be greater than or equal to 2"),
        ("colour", True, "Extra inputs are not permitted"),
    ],
)
def test_bad_values_are_refused(field, value, text):
    with pytest.raises(ValidationError, match=text):
        DataSettings(**{field: value})
