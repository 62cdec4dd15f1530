"""Token merging: the matching by hand, what it does to a transformer, and the exported file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from small_stages import SETTINGS, small_data, small_network, stage_context
from torch import Tensor, nn

from core.common.errors import EspalierError
from core.data.image_data import ImageData
from core.data.preprocess import Preprocess
from core.deploy.onnx_export import describe, export_module
from core.models.architecture import apply_difference, difference
from core.models.network_facts import NetworkFacts
from core.models.settings import BackboneSettings
from core.models.token_merging import TokenMerging, removable
from core.stages.merge_tokens import MergeTokens, merge
from core.surgery.meta_copy import count

STAGE = MergeTokens()
VIT = BackboneSettings(backbone="vit-tiny")


def by_hand(tokens: np.ndarray, prefix: int, removed: int) -> np.ndarray:
    """Bipartite soft matching of one image's tokens [n, d], a token at a time; in no order."""
    first, second = tokens[prefix::2], tokens[prefix + 1 :: 2]
    likeness = [[a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) for b in second] for a in first]
    best = [(max(row), int(np.argmax(row)), number) for number, row in enumerate(likeness)]
    gone = sorted(best, reverse=True)[:removed]
    groups: list[list[np.ndarray]] = [[token] for token in second]
    for _, into, number in gone:
        groups[into].append(first[number])
    stays = [token for number, token in enumerate(first) if number not in {number for *_, number in gone}]
    return np.stack([*tokens[:prefix], *stays, *(np.mean(group, 0) for group in groups)])


def in_order(rows: np.ndarray) -> np.ndarray:
    return rows[np.lexsort(rows.T)]


@pytest.mark.parametrize(("count", "prefix", "removed"), [(11, 1, 3), (12, 2, 5), (9, 0, 4), (10, 1, 1)])
def test_the_matching_by_hand(count: int, prefix: int, removed: int) -> None:
    tokens = torch.randn(3, count, 6, generator=torch.Generator().manual_seed(count))
    made = TokenMerging(prefix, removed)(tokens)
    assert made.shape == (3, count - removed, 6)
    assert torch.equal(made[:, :prefix], tokens[:, :prefix])
    for image, merged in zip(tokens.double().numpy(), made.double().numpy(), strict=True):
        np.testing.assert_allclose(in_order(merged), in_order(by_hand(image, prefix, removed)), atol=1e-5)


def test_no_more_than_half_can_go() -> None:
    assert [removable(197, 1, 8), removable(5, 1, 8), removable(2, 1, 8), removable(1, 1, 8)] == [8, 2, 0, 0]
    tokens = torch.randn(2, 5, 4)
    assert TokenMerging(1, 8)(tokens).shape == (2, 3, 4)
    assert TokenMerging(1, 8)(tokens[:, :2]) is not None and TokenMerging(1, 8)(tokens[:, :2]).shape == (
        2,
        2,
        4,
    )


def test_equal_tokens_are_merged_without_loss() -> None:
    tokens = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(1)).repeat_interleave(2, 1)
    made = TokenMerging(0, 4)(tokens)[0]
    assert np.allclose(in_order(made.numpy()), in_order(tokens[0, ::2].numpy()), atol=1e-6)


def vit(size: int = 64) -> nn.Module:
    return small_network(network=VIT, size=size)


def test_a_transformer_computes_less_with_the_same_weights() -> None:
    model = vit()
    before, names = count(model, 64), list(model.state_dict())
    assert merge(model, 1, 64) == (17, 6)
    after = count(model, 64)
    assert list(model.state_dict()) == names and after.params == before.params
    dims = 192
    block = 12 * dims * dims  # weights of a block's four linear layers, used once for every token
    saved = sum(range(1, 12)) * block
    assert before.macs - after.macs == saved
    seen: list[int] = []
    for name, module in model.body.network.blocks.named_children():
        if not name.startswith("merge"):
            module.register_forward_hook(lambda module, given, output: seen.append(output.shape[1]))
    with torch.no_grad():
        model(torch.randn(2, 3, 64, 64))
    assert seen == list(range(17, 5, -1))
    assert merge(model, 3, 64) == (17, 2)  # again, with another number: no second row of modules
    assert sum(isinstance(module, TokenMerging) for module in model.modules()) == 11


def test_a_checkpoint_describes_it() -> None:
    plain, merged, again = vit(), vit(), vit()
    merge(merged, 2, 64)
    apply_difference(again, difference(plain, merged))
    again.load_state_dict(merged.state_dict())
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        assert torch.equal(again.eval()(images), merged.eval()(images))
        assert not torch.equal(plain.eval()(images), merged(images))


class Patches(nn.Module):
    """Patches as tokens, of which two are merged, and a head on their mean."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.merge, self.head = nn.Conv2d(3, 8, 4, 4), TokenMerging(1, 2), nn.Linear(8, 10)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        return self.head(self.merge(tokens).square().mean(1))


@pytest.mark.parametrize(
    ("model", "side"),
    [(lambda: Patches().eval(), 12), pytest.param(lambda: merged(48), 48, marks=pytest.mark.slow)],
    ids=["one", "vit"],
)
def test_the_exported_file_answers_alike_for_any_batch(
    model: Callable[[], nn.Module], side: int, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    network, preprocess, classes = model(), Preprocess(side), tuple("abcdefghij")
    export_module(network, preprocess, tmp_path / "a.onnx", describe(classes, preprocess, "float32", {}))
    session = ort.InferenceSession(tmp_path / "a.onnx", providers=["CPUExecutionProvider"])
    for batch in (1, 3):
        images = torch.randn(batch, 3, side, side, generator=torch.Generator().manual_seed(batch))
        with torch.no_grad():
            expected = network(images)
        found = session.run(None, {"images": images.numpy()})[0]
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)


def merged(size: int) -> nn.Module:
    model = vit(size)
    merge(model, 1, size)
    return model


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    return small_data(tmp_path_factory.mktemp("data"))


def test_gradients_pass_through_what_was_merged() -> None:
    tokens: Tensor = torch.randn(2, 9, 4, requires_grad=True)
    TokenMerging(1, 3)(tokens).sum().backward()
    assert tokens.grad is not None and bool((tokens.grad != 0).all())


def test_other_networks_are_refused_beforehand_and_in_the_run(data: ImageData, tmp_path: Path) -> None:
    settings = STAGE.Settings.parse({"training": {"epochs": 0}})
    [problem] = STAGE.check(settings, NetworkFacts(BackboneSettings(backbone="resnet20")))
    assert problem.message == "ResNet-20 (CIFAR) has no tokens that could be merged."
    assert STAGE.check(settings, NetworkFacts(VIT)) == []
    with pytest.raises(EspalierError, match="Expected a vision transformer of timm"):
        STAGE.run(small_network(), settings, stage_context(data, tmp_path))


def test_the_report_says_how_many_are_left(data: ImageData, tmp_path: Path) -> None:
    settings = STAGE.Settings.parse({"removed": 1, "training": {"epochs": 0}})
    result = STAGE.run(vit(SETTINGS.image_size), settings, stage_context(data, tmp_path, network=VIT))
    assert result.facts == {"tokens": 2, "tokens_left": 2}  # one patch of 16 pixels and the class
