"""What a person names or drags is told apart."""

from pathlib import Path

from core.runs.path_kind import path_kind


def test_what_is_dropped_is_told_apart(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.onnx", "c.pth", "d.safetensors", "e.zip", "f.csv", "g.tar.gz", "h.png"):
        (tmp_path / name).touch()
    kinds = [
        path_kind(tmp_path / name)
        for name in ("a.yaml", "b.onnx", "c.pth", "d.safetensors", "e.zip", "f.csv")
    ]
    assert kinds == ["pipeline", "onnx", "weights", "weights", "data", "data"]
    assert [path_kind(tmp_path / name) for name in ("g.tar.gz", "h.png", "nothing.onnx")] == ["data", "", ""]
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    assert path_kind(checkpoint) == "data"
    for name in ("architecture.json", "weights.safetensors"):
        (checkpoint / name).touch()
    assert path_kind(checkpoint) == "checkpoint"
