"""Stochastic depth: branches left out by hand, the networks it knows, exact on resume."""

from pathlib import Path

import pytest
import torch
from small_stages import small_data, small_network, stage_context
from torch import nn

from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.data.image_data import ImageData
from core.models.catalogue import backbone
from core.models.settings import BackboneSettings
from core.records.events import EpochDone
from core.stages.fine_tune import run_training
from core.surgery.stochastic_depth import branch_ends, dropped, stochastic_depth
from core.training.settings import TrainingSettings

KNOWN = {
    "resnet20": (9 - 2, 1, "bn2"),
    "resnet18": (8 - 3, 1, "bn2"),
    "mobilenet-v2": (10, 1, ""),
    "timm-convnext-atto": (12, 1, "drop_path"),
    "vit-tiny": (12, 2, "drop_path1"),
    "efficientnet-lite0": (9, 1, ""),
}


def noise(count: int, size: int) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(5))


def network(name: str, size: int) -> nn.Module:
    return small_network(network=BackboneSettings(backbone=name), size=size)


@pytest.mark.parametrize("name", KNOWN)
def test_the_branches_of_known_networks_are_found(name: str) -> None:
    blocks, branches, ending = KNOWN[name]
    model = network(name, 32)
    found = branch_ends(model, backbone(name).blocks, noise(2, 32))
    assert len(found) == blocks and all(len(ends) == branches for ends in found)
    assert ending in found[0][0]


def test_a_block_whose_branch_is_left_out_is_its_shortcut() -> None:
    model, images = network("resnet20", 16), noise(2, 16)
    kinds = backbone("resnet20").blocks
    [*_, last] = branch_ends(model, kinds, images)
    block = model.get_submodule(last[0].rpartition(".")[0])
    given: list[torch.Tensor] = []
    handle = block.register_forward_hook(lambda module, inputs, output: given.extend((inputs[0], output)))
    model.train()
    with torch.no_grad(), stochastic_depth(model, kinds, 0.999999, images):
        model(images)
    assert torch.equal(given[-1], given[-2])  # relu(x + 0) of an x that is rectified already
    with torch.no_grad():
        model(images)
    assert not torch.equal(given[-1], given[-2])
    handle.remove()


def test_branches_that_stay_are_divided_by_their_share() -> None:
    torch.manual_seed(1)
    branch = torch.ones(2000, 2, 1)
    made = dropped(branch, 0.25)[:, :, 0]
    assert made.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert torch.equal(made[:, 0], made[:, 1])  # an image as a whole
    assert abs(float((made[:, 0] == 0).float().mean()) - 0.25) < 0.04


def test_shares_rise_from_nothing_in_the_first_block() -> None:
    model, images = network("vit-tiny", 32), noise(64, 32)
    kinds = backbone("vit-tiny").blocks
    zeros: dict[str, list[float]] = {}
    ends = branch_ends(model, kinds, images[:2])
    model.train()
    torch.manual_seed(2)
    with torch.no_grad(), stochastic_depth(model, kinds, 0.6, images[:2]):
        for number, paths in enumerate(ends):
            for path in paths:
                model.get_submodule(path).register_forward_hook(
                    lambda module, given, output, number=number: zeros.setdefault(number, []).append(
                        float((output.flatten(1) == 0).all(1).float().mean())
                    )
                )
        model(images)
    shares = [sum(zeros[number]) / 2 for number in range(12)]
    assert shares[0] == 0.0
    for number, share in enumerate(shares):
        assert abs(share - 0.6 * number / 11) < 0.17, number


def test_evaluation_and_what_comes_after_are_as_without() -> None:
    model, images = network("resnet20", 16), noise(2, 16)
    model.eval()
    with torch.no_grad():
        before = model(images)
        with stochastic_depth(model, backbone("resnet20").blocks, 0.9, images):
            assert torch.equal(model(images), before)
        model.train()
        assert torch.equal(model(images), model(images))


def test_networks_without_such_blocks_are_refused() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3))
    with (
        pytest.raises(EspalierError, match="stochastic depth leaves out"),
        stochastic_depth(model, ("BasicBlock",), 0.1, noise(2, 8)),
    ):
        pass


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    return small_data(tmp_path_factory.mktemp("data"))


def test_training_with_it_resumes_to_the_same_weights(data: ImageData, tmp_path: Path) -> None:
    settings = TrainingSettings(epochs=2, batch_size=50, learning_rate=0.01, drop_path=0.5, patience=0)
    plain = settings.model_copy(update={"drop_path": 0.0})
    for name in "abc":
        (tmp_path / name).mkdir()
    whole, other, without = network("resnet20", 16), network("resnet20", 16), network("resnet20", 16)
    run_training(whole, settings, stage_context(data, tmp_path / "a"))
    run_training(without, plain, stage_context(data, tmp_path / "b"))
    control = RunControl()

    def stop(event: object) -> None:
        if isinstance(event, EpochDone):
            control.stop()

    with pytest.raises(Stopped):
        run_training(other, settings, stage_context(data, tmp_path / "c", control, emit=stop))
    run_training(other, settings, stage_context(data, tmp_path / "c"))
    weights, plainly = other.state_dict(), without.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in whole.state_dict().items())
    assert any(not torch.equal(tensor, plainly[name]) for name, tensor in whole.state_dict().items())
