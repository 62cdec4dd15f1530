"""A small network's way through PyTorch's exporter, once per session, and what the files say."""

import json
from pathlib import Path

import numpy as np
import pytest

import core
from core.common.errors import EspalierError
from core.common.files import save_array, sha256_of, written_beside
from core.data.preprocess import Preprocess
from core.deploy.onnx_export import describe, export_module, metadata_of
from core.deploy.quantization.half_precision import to_half
from core.deploy.verify import onnx_predictor
from core.models.classifier import ImageClassifier
from core.models.settings import FemSettings
from core.models.torchvision_shim import import_torchvision

onnx = pytest.importorskip("onnx")
torch = pytest.importorskip("torch")
ort = pytest.importorskip("onnxruntime")

PREPROCESS = Preprocess(12, 3, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3), "crop")
CLASSES = ("bee", "fly", "gnat", "moth", "wasp")


def quiet(fraction: float, text: str) -> None:
    pass


def network() -> "torch.nn.Module":
    nn = torch.nn
    torch.manual_seed(4)
    layers = nn.Sequential(
        nn.Conv2d(3, 24, 3, padding=1, bias=False),
        nn.BatchNorm2d(24),
        nn.ReLU6(),
        nn.Conv2d(24, 24, 3, padding=1, groups=24),
        nn.Hardswish(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(24, 5),
    )
    with torch.no_grad():
        for _ in range(5):
            layers(torch.randn(16, 3, 12, 12))  # running statistics that are not 0 and 1
    return layers.eval()


@pytest.fixture(scope="module")
def model():
    return network()


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("export") / "float32.onnx"
    metadata = describe(CLASSES, PREPROCESS, "float32", {"run": "blue-sky"})
    export_module(model, PREPROCESS, path, metadata)
    return path


@pytest.fixture(scope="module")
def halved(exported) -> Path:
    path = exported.with_name("float16.onnx")
    facts = to_half({"source": str(exported), "target": str(path), "metadata": {"note": "half"}}, quiet)
    assert facts["path"] == str(path) and facts["bytes"] == path.stat().st_size
    assert facts["sha256"] == sha256_of(path) and facts["opset"] == 20
    return path


@pytest.mark.parametrize("batch", [1, 5])
def test_the_file_answers_like_the_network_for_any_batch(model, exported, batch):
    images = torch.randn(batch, 3, 12, 12, generator=torch.Generator().manual_seed(batch))
    session = ort.InferenceSession(exported, providers=["CPUExecutionProvider"])
    logits = session.run(["logits"], {"images": images.numpy()})[0]
    with torch.no_grad():
        assert np.abs(logits - model(images).numpy()).max() < 1e-4
    assert logits.shape == (batch, 5) and session.get_inputs()[0].shape[0] == "batch"


def test_the_file_says_how_to_use_it(exported):
    model = onnx.load(exported)
    metadata = metadata_of(model)
    assert json.loads(metadata["classes"]) == list(CLASSES)
    assert Preprocess.from_dict(json.loads(metadata["preprocess"])) == PREPROCESS
    assert metadata["producer"] == f"Espalier {core.__version__}"
    assert (metadata["run"], metadata["precision"]) == ("blue-sky", "float32")
    assert (model.producer_name, model.producer_version) == ("Espalier", core.__version__)


def test_the_file_names_no_folder_of_this_machine(exported):
    content = exported.read_bytes()
    assert b"site-packages" not in content and b"stack_trace" not in content
    assert str(Path(core.__file__).parent).encode() not in content
    assert b"pkg.torch.onnx.name_scopes" in content  # which module a node came from stays


def test_batch_normalisation_is_folded(exported):
    assert "BatchNormalization" not in {node.op_type for node in onnx.load(exported).graph.node}


class ChannelsLast(torch.nn.Module):
    """A body whose map lies channels last, as ConvNeXt's does."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = torch.nn.Conv2d(3, 24, 3), torch.nn.LayerNorm(24)

    def forward(self, images):
        return self.norm(self.convolution(images).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def test_a_map_that_lies_channels_last_is_averaged_in_one_node(tmp_path):
    """PyTorch's own pooling exports a gather there, whose output has no shape that ONNX can infer."""
    fem = FemSettings(place="map")
    model = ImageClassifier(ChannelsLast(), 24, torch.nn.Linear(24, 5), fem).eval()
    export_module(model, PREPROCESS, tmp_path / "network.onnx", {})
    operations = [node.op_type for node in onnx.load(tmp_path / "network.onnx").graph.node]
    assert operations.count("ReduceMean") == 2 and not {"Gather", "Range"} & set(operations)


def test_half_precision_is_smaller_and_close(exported, halved):
    assert halved.stat().st_size < exported.stat().st_size
    weights = [tensor.data_type for tensor in onnx.load(halved).graph.initializer if len(tensor.dims) > 1]
    assert set(weights) == {onnx.TensorProto.FLOAT16}
    images = np.random.default_rng(0).standard_normal((4, 3, 12, 12)).astype(np.float32)
    first, second = (
        ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"images": images})[0]
        for path in (exported, halved)
    )
    assert second.dtype == np.float32
    assert 0 < np.abs(first - second).max() < 0.01
    metadata = metadata_of(onnx.load(halved))
    assert (metadata["precision"], metadata["note"], metadata["run"]) == ("float16", "half", "blue-sky")


def test_half_of_half_is_refused(halved, tmp_path):
    with pytest.raises(EspalierError, match="holds half precision weights"):
        to_half({"source": str(halved), "target": str(tmp_path / "quarter.onnx")}, quiet)
    assert list(tmp_path.iterdir()) == []


def test_attention_with_learned_positions_is_exported(tmp_path):
    """timm's vit_relpos: with gradients PyTorch traces its attention in another form than it takes it apart in."""
    import_torchvision()
    import timm

    torch.manual_seed(4)
    model = timm.create_model("test_vit_relpos", depth=1, embed_dim=24, img_size=32, num_classes=5).eval()
    preprocess, file = Preprocess(32, 3, (0.5,) * 3, (0.5,) * 3, "crop"), tmp_path / "relpos.onnx"
    export_module(model, preprocess, file, {})
    images = torch.randn(3, 3, 32, 32)
    [answers] = ort.InferenceSession(file, providers=["CPUExecutionProvider"]).run(
        None, {"images": images.numpy()}
    )
    with torch.no_grad():
        assert np.abs(answers - model(images).numpy()).max() < 1e-4


def test_what_cannot_be_exported_leaves_nothing(tmp_path):
    class Stubborn(torch.nn.Module):
        def forward(self, images):
            return images if images.sum() > 0 else -images

    with pytest.raises(
        EspalierError, match=r"could not export .* decides by the values of its images"
    ) as caught:
        export_module(Stubborn(), PREPROCESS, tmp_path / "stubborn.onnx", {})
    assert caught.value.details
    assert list(tmp_path.iterdir()) == []


def test_a_network_for_a_fixed_number_of_images_is_refused(tmp_path):
    class Looping(torch.nn.Module):
        def forward(self, images):
            return torch.stack([image.mean((1, 2)) for image in images])

    with pytest.raises(EspalierError, match="is made for a fixed number of images"):
        export_module(Looping(), PREPROCESS, tmp_path / "looping.onnx", {})


def test_the_predictor_prepares_images_as_the_file_says(model, exported):
    images = np.random.default_rng(1).integers(0, 256, (7, 16, 20, 3), dtype=np.uint8)
    predictor = onnx_predictor(exported, 1)
    assert predictor.classes == CLASSES and predictor.preprocess == PREPROCESS
    assert predictor.facts["run"] == "blue-sky"
    with torch.no_grad():
        wanted = model(PREPROCESS(images)).numpy()
    assert np.abs(predictor.network(images) - wanted).max() < 1e-4


def foreign(exported: Path, target: Path, batch: int | None = None) -> Path:
    """The same network as somebody else's file: no metadata, perhaps a fixed batch size."""
    model = onnx.load(exported)
    del model.metadata_props[:]
    if batch is not None:
        for entry in (*model.graph.input, *model.graph.output):
            entry.type.tensor_type.shape.dim[0].dim_value = batch
        del model.graph.value_info[:]
    onnx.save(model, target)
    return target


def test_a_foreign_file_needs_the_preprocessing(exported, tmp_path):
    path = foreign(exported, tmp_path / "foreign.onnx")
    with pytest.raises(EspalierError, match=r"foreign\.onnx does not say how images have to be prepared"):
        onnx_predictor(path, 1)
    assert onnx_predictor(path, 1, PREPROCESS.as_dict()).classes == ()
    with pytest.raises(
        EspalierError, match=r"gives images of 3 × 20 × 20, foreign\.onnx takes \[3, 12, 12\]"
    ):
        onnx_predictor(path, 1, {**PREPROCESS.as_dict(), "size": 20})


def test_a_fixed_batch_size_is_filled_up(model, exported, tmp_path):
    path = foreign(exported, tmp_path / "four.onnx", batch=4)
    images = np.random.default_rng(1).integers(0, 256, (7, 12, 12, 3), dtype=np.uint8)
    logits = onnx_predictor(path, 1, PREPROCESS.as_dict()).network(images)
    with torch.no_grad():
        assert np.abs(logits - model(PREPROCESS(images)).numpy()).max() < 1e-4


def test_a_file_that_is_no_classifier_is_refused(tmp_path):
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(EspalierError, match=r"Expected an ONNX file, but text\.onnx is a text"):
        onnx_predictor(tmp_path / "text.onnx", 1)
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 7])
    other = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 7])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [value], [other])
    opset = [onnx.helper.make_opsetid("", 20)]
    onnx.save(onnx.helper.make_model(graph, ir_version=10, opset_imports=opset), tmp_path / "flat.onnx")
    with pytest.raises(EspalierError, match=r"the input of flat\.onnx is x .*no batch of square"):
        onnx_predictor(tmp_path / "flat.onnx", 1)


def test_files_are_written_whole_or_not_at_all(tmp_path):
    target = tmp_path / "a" / "x.npy"
    save_array(target, np.arange(3))
    with pytest.raises(KeyError), written_beside(target) as part:
        part.write_bytes(b"half of")
        raise KeyError
    assert np.load(target).tolist() == [0, 1, 2]
    assert [path.name for path in target.parent.iterdir()] == ["x.npy"]
