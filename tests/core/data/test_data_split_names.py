"""What people call training, validation and test."""

import pytest

from core.data.split_names import split_folders, split_of, splits_of


@pytest.mark.parametrize(
    ("names", "split"),
    [
        (
            "train Train TRAINING training_set train2017 trainImages trainset train-data 01_train trainval train_val "
            "Trainingsdaten entraînement entrenamiento treino 训练集",
            0,
        ),
        ("val Valid VALIDATION validation_set valset dev eval Validierung validación 验证集", 1),
        ("test Testing test_set testset TestData PublicTest holdout Testdaten prueba teste 测试集", 2),
        ("station train_station latest testament train_test seg_train cats invalid", None),
    ],
)
def test_a_name_says_one_split_or_none(names: str, split: int | None):
    assert {name: split_of(name) for name in names.split()} == dict.fromkeys(names.split(), split)


def test_other_words_count_where_folders_beside_each_other_share_them():
    assert split_folders([["seg_train", "seg_test", "seg_pred"]]) == {"seg_train": 0, "seg_test": 2}
    assert split_folders([["bullet train", "aeroplane"], ["train station", "test"]]) == {"test": 2}


def test_evaluation_is_the_test_split_beside_validation_and_validation_alone():
    assert split_folders([["training", "validation", "evaluation"]]) == {
        "training": 0,
        "validation": 1,
        "evaluation": 2,
    }
    assert split_folders([["x_train", "x_dev", "x_eval"]]) == {"x_train": 0, "x_dev": 1, "x_eval": 2}
    assert split_folders([["train", "eval"]]) == {"train": 0, "eval": 1}
    assert split_folders([["train", "val", "eval", "test"]]) == {"train": 0, "val": 1, "eval": 1, "test": 2}
    assert splits_of(["train", "val", "eval", "extra"]) == {"train": 0, "val": 1, "eval": 2, "extra": None}


def test_a_folder_of_training_and_validation_together_counts_alone_only():
    assert split_folders([["train", "val", "trainval", "test"]]) == {"train": 0, "val": 1, "test": 2}
    assert split_folders([["train", "train_val", "test"]]) == {"train": 0, "test": 2}
    assert split_folders([["trainval", "test"]]) == {"trainval": 0, "test": 2}
    assert split_folders([["train_1", "train_2", "test"]]) == {"train_1": 0, "train_2": 0, "test": 2}
