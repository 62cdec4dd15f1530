"""What people call training, validation and test."""

import pytest

from core.data.split_names import split_folders, split_of


@pytest.mark.parametrize(
    ("names", "split"),
    [
        (
            "train Train TRAINING training_set train2017 trainImages trainset train-data 01_train trainval train_val",
            0,
        ),
        ("val Valid VALIDATION validation_set valset dev eval", 1),
        ("test Testing test_set testset TestData PublicTest holdout", 2),
        ("station train_station latest testament train_test seg_train cats invalid", None),
    ],
)
def test_a_name_says_one_split_or_none(names: str, split: int | None):
    assert {name: split_of(name) for name in names.split()} == dict.fromkeys(names.split(), split)


def test_other_words_count_where_folders_beside_each_other_share_them():
    assert split_folders([["seg_train", "seg_test", "seg_pred"]]) == {"seg_train": 0, "seg_test": 2}
    assert split_folders([["bullet train", "aeroplane"], ["train station", "test"]]) == {"test": 2}
