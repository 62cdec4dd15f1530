"""From a checkpoint to verified files, with the real child, network and data set."""

from pathlib import Path

import numpy as np
import pytest

from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.common.files import sha256_of
from core.data.access import DataAccess
from core.data.settings import DataSettings
from core.deploy.agreement import LIMIT
from core.deploy.artefact_folder import ArtefactFolder
from core.deploy.artefacts import ToolCalls, VerifiedArtefact, make_artefacts, verify_onnx
from core.machine.child import Child
from core.profiling.counting import count
from core.profiling.latency import profile_checkpoint

DATA = DataSettings(train_images=200, test_images=60, image_size=28).model_dump(mode="json")


def save(folder: Path, classes: tuple[str, ...], spoil: bool = False, rounds: float = 0.0) -> None:
    """A ResNet-20 with random weights as a checkpoint.

    Args:
        spoil: its logits are infinite in half. rounds: what a batch norm takes away and gives back, so that PyTorch loses digits.
    """
    import torch

    from core.data.preprocess import Preprocess
    from core.models.catalogue import backbone
    from core.models.checkpoint import Checkpoint, save_checkpoint
    from core.models.settings import BackboneSettings

    torch.manual_seed(0)
    network = BackboneSettings()
    model = backbone(network.backbone).build(network, len(classes))
    if spoil:
        with torch.no_grad():
            norm = next(each for each in model.modules() if isinstance(each, torch.nn.BatchNorm2d))
            norm.weight.mul_(1e6)  # half precision ends at 65504
    norm = next(each for each in model.modules() if isinstance(each, torch.nn.BatchNorm2d))
    with torch.no_grad():
        norm.running_mean.add_(rounds)
        norm.bias.add_(rounds * norm.weight / (norm.running_var + norm.eps).sqrt())
    save_checkpoint(folder, Checkpoint(model, network, Preprocess(28), classes))


def access(folder: Path, threads: int = 0) -> DataAccess:
    return DataAccess(DataSettings.model_validate(DATA), folder / "cache", None, threads)


@pytest.fixture(scope="module")
def classes(tmp_path_factory) -> tuple[str, ...]:
    from core.data.store import open_data

    cache = tmp_path_factory.mktemp("cache")
    return open_data(DataSettings.model_validate(DATA), cache).classes


@pytest.mark.slow
def test_a_checkpoint_becomes_verified_files(tmp_path, classes):
    save(tmp_path / "checkpoint", classes)
    fractions: list[float] = []
    with Child("tool", tmp_path / "tool.log") as tool:
        artefacts = make_artefacts(
            ToolCalls(tool, None, lambda fraction, text: fractions.append(fraction)), tmp_path / "checkpoint",
            ArtefactFolder(tmp_path / "out"), access(tmp_path, 1), half=True,
        )  # fmt: skip
        single, half = artefacts
        assert (single.id, half.id) == ("float32", "float16")
        assert single.verification.good and single.verification.max_logit_difference < 1e-4
        assert half.verification.good and half.bytes < single.bytes
        for each in artefacts:
            assert each.sha256 == sha256_of(each.path) and each.bytes == each.path.stat().st_size
            assert np.load(each.logits).shape == (60, 10) and np.load(each.labels).shape == (60,)
        assert np.load(single.reference).shape == (60, 10)
        assert fractions == sorted(fractions) and fractions[-1] == pytest.approx(1.0)
        check = verify_onnx(ToolCalls(tool), single.path, access(tmp_path), tmp_path / "check")
        right = np.load(single.logits).argmax(1) == np.load(single.labels)
        assert check.top1 == pytest.approx(100 * right.mean()) and check.n == 60
        assert check.classes == classes

        counted = tool.call(
            count,
            {"model": str(single.path), "input_size": single.facts["input_size"]},
        )
        assert counted["macs"] == (28 * 28 * (3 * 16 + 6 * 16 * 16) + 14 * 14 * (16 * 32 + 5 * 32 * 32)
            + 7 * 7 * (32 * 64 + 5 * 64 * 64)) * 9 + 640  # fmt: skip
        eager = profile_checkpoint(tool, tmp_path / "checkpoint", precision="bfloat16")
        assert eager["latency_ms"].value and set(eager) == {"latency_ms", "throughput"}

        stop = RunControl()
        with pytest.raises(Stopped):
            make_artefacts(
                ToolCalls(tool, stop, lambda fraction, text: stop.stop()), tmp_path / "checkpoint",
                ArtefactFolder(tmp_path / "stopped"), access(tmp_path),
            )  # fmt: skip
    assert not list((tmp_path / "stopped").glob("*.onnx"))


def test_a_network_that_rounds_badly_itself_is_exported(tmp_path, classes, monkeypatch):
    """The file may even be nearer to float64 than PyTorch is; what it differs by stands beside what float32 costs."""
    save(tmp_path / "checkpoint", classes, rounds=3e5)
    with Child("tool", tmp_path / "tool.log") as tool:

        def made(name: str) -> VerifiedArtefact:
            folder = ArtefactFolder(tmp_path / name)
            (artefact,) = make_artefacts(
                ToolCalls(tool), tmp_path / "checkpoint", folder, access(tmp_path, 1)
            )
            return artefact

        verdict = made("out").verification
        assert verdict.good and verdict.max_logit_difference > LIMIT
        assert verdict.max_logit_difference < 2 * verdict.rounding  # of which most is PyTorch's
        assert verdict.limit == 10 * verdict.rounding
        assert "in float32 differ from those in float64" in verdict.sentence
        monkeypatch.setattr("core.deploy.agreement._ROUNDINGS", 0.1)
        with pytest.raises(EspalierError, match="does not agree with the PyTorch model"):
            made("refused")
    assert not list((tmp_path / "out").glob("float64*"))


@pytest.mark.slow
def test_a_half_precision_file_that_overflows_is_put_aside(tmp_path, classes):
    save(tmp_path / "checkpoint", classes, spoil=True)
    refused: list[EspalierError] = []
    with Child("tool", tmp_path / "tool.log") as tool:
        artefacts = make_artefacts(
            ToolCalls(tool), tmp_path / "checkpoint", ArtefactFolder(tmp_path / "out"), access(tmp_path),
            half=True, on_refused=refused.append,
        )  # fmt: skip
    assert [each.id for each in artefacts] == ["float32"]
    assert "does not agree" in refused[0].message and "not a finite number" in refused[0].message
    assert "float16.rejected.onnx" in refused[0].advice
    assert (tmp_path / "out" / "float16.rejected.onnx").exists()
    assert not (tmp_path / "out" / "float16.onnx").exists()


@pytest.mark.slow
def test_the_networks_classes_must_be_the_data_sets(tmp_path, classes):
    save(tmp_path / "checkpoint", ("something else", *classes[1:]))
    with (
        Child("tool", tmp_path / "tool.log") as tool,
        pytest.raises(EspalierError, match="different classes"),
    ):
        make_artefacts(
            ToolCalls(tool), tmp_path / "checkpoint", ArtefactFolder(tmp_path / "out"), access(tmp_path)
        )
