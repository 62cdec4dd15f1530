import json

from core.data.access import DataAccess
from core.data.settings import DataSettings


def test_a_child_is_told_the_same_in_plain_data(tmp_path):
    access = DataAccess(DataSettings(image_size=16), tmp_path / "cache", tmp_path, 2)
    plain = json.loads(json.dumps({**access.as_plain(), "onnx": "a.onnx"}))
    assert set(plain) == {"data", "data_cache", "base", "threads", "opened", "onnx"}
    assert DataAccess.from_plain(plain) == access


def test_base_and_threads_may_be_missing(tmp_path):
    plain = {"data": {}, "data_cache": str(tmp_path)}
    assert DataAccess.from_plain(plain) == DataAccess(DataSettings(), tmp_path, None, 0)
    assert DataAccess.from_plain({**plain, "base": None, "threads": 0}).base is None


def test_it_opens_the_data_set(tmp_path):
    told: list[float] = []
    data = DataAccess(DataSettings(train_images=20), tmp_path).open(
        None, lambda done, text: told.append(done)
    )
    assert len(data.split("train")) == 20 and told
