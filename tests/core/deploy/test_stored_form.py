"""The stored form of ONNX files: Huffman's own example, entropies, and files that come back byte for byte."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.commands.main import main
from core.common.errors import EspalierError
from core.common.files import deflated_bytes
from core.onnx_graph import huffman
from core.onnx_graph.huffman import canonical_codes, code_lengths, decode, encode
from core.onnx_graph.shared_weights import compact
from core.onnx_graph.stored_form import from_stored, pack, stored_size, to_stored


def counts(*values: int) -> np.ndarray:
    return np.array([*values, *[0] * (256 - len(values))], np.int64)


def test_the_code_of_a_textbook() -> None:
    # Cormen et al., Introduction to Algorithms, figure 16.3: 45, 13, 12, 16, 9, 5 give 1, 3, 3, 3, 4, 4 bits
    lengths = code_lengths(counts(45, 13, 12, 16, 9, 5))
    assert lengths[:7].tolist() == [1, 3, 3, 3, 4, 4, 0]
    assert [f"{code:0{bits}b}" for code, bits in zip(canonical_codes(lengths)[:6], lengths, strict=False)] == [
        "0", "100", "101", "110", "1110", "1111",
    ]  # fmt: skip


def test_long_codes_are_cut_and_still_are_codes() -> None:
    fibonacci = [1, 1]
    while len(fibonacci) < 30:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    lengths = code_lengths(counts(*fibonacci))
    assert lengths.max() <= 16
    assert sum(0.5 ** int(bits) for bits in lengths if bits) == 1.0  # Kraft: complete and free of prefixes


@pytest.mark.parametrize("values", [1, 2, 16, 256])
@pytest.mark.parametrize("count", [0, 1, 4096, 4097, 10_000])
def test_symbols_come_back(count: int, values: int) -> None:
    numbers = np.random.default_rng(count)
    symbols = np.minimum(numbers.geometric(0.2, count) - 1, values - 1).astype(np.uint8)
    assert np.array_equal(decode(encode(symbols)), symbols)


def test_a_code_takes_at_most_a_bit_more_than_the_entropy() -> None:
    numbers = np.random.default_rng(1)
    symbols = np.minimum(numbers.geometric(0.3, 50_000) - 1, 255).astype(np.uint8)
    share = np.bincount(symbols) / len(symbols)
    entropy = -float(np.sum(share[share > 0] * np.log2(share[share > 0])))
    lengths = code_lengths(np.bincount(symbols, minlength=256))
    bits = float(lengths[symbols].mean())
    assert entropy <= bits < entropy + 1
    lanes = -(-len(symbols) // huffman._LANE)
    assert len(encode(symbols)) == 12 + 1 + 2 * len(np.unique(symbols)) + 4 * lanes + -(
        -int(lengths[symbols].sum()) // 8
    )


def shared_file(path: Path, values: int, zeros: float = 0.0) -> Path:
    """A file with one weight that takes so many values, most of them often, and zeros."""
    numbers = np.random.default_rng(values)
    codebook = np.sort(numbers.normal(size=values)).astype(np.float32)
    weight = codebook[np.clip(numbers.normal(values / 2, values / 8, (128, 300)), 0, values - 1).astype(int)]
    weight[numbers.random(weight.shape) < zeros] = 0
    rest = numbers.normal(size=300).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Add", ["m", "b"], ["y"])]
    model = helper.make_model(
        helper.make_graph(
            nodes, "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 128])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 300])],
            [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(rest, "b")],
        ),
        opset_imports=[helper.make_opsetid("", 21)],
    )  # fmt: skip
    compact(model)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("values", [16, 200])
@pytest.mark.parametrize("zeros", [0.0, 0.95])
def test_files_come_back_byte_for_byte(tmp_path: Path, values: int, zeros: float) -> None:
    path = shared_file(tmp_path / "a.onnx", values, zeros)
    data = path.read_bytes()
    stored = to_stored(data)
    assert from_stored(stored) == data
    size = stored_size(path)
    assert size.bytes == len(stored) and "Huffman" in size.how
    weights = 128 * 300
    taken = np.unique(onnx_weight(path), return_counts=True)[1] / weights
    entropy = -float(np.sum(taken * np.log2(taken))) * weights / 8
    assert len(stored) < 1.15 * entropy + 300 * 4 + 4 * values + 1000  # the biases, the codebook, the graph
    if not zeros:
        assert len(stored) < deflated_bytes(path)


def onnx_weight(path: Path) -> np.ndarray:
    from core.onnx_graph.shared_weights import expand

    model = onnx.load(path)
    expand(model)
    return next(numpy_helper.to_array(tensor) for tensor in model.graph.initializer if tensor.name == "w")


def test_distances_pay_where_most_entries_are_zero(tmp_path: Path) -> None:
    path = shared_file(tmp_path / "a.onnx", 16, 0.98)
    assert (
        len(to_stored(path.read_bytes())) < 128 * 300 / 8 + 1200
    )  # a code for each entry takes at least a bit


def test_files_without_codebooks_are_deflated(tmp_path: Path) -> None:
    path = tmp_path / "plain.onnx"
    shared = onnx.load(shared_file(tmp_path / "a.onnx", 16))
    del shared.graph.initializer[:]
    onnx.save(shared, path)
    assert stored_size(path).bytes == deflated_bytes(path)
    assert from_stored(to_stored(path.read_bytes())) == path.read_bytes()


def test_damage_is_found(tmp_path: Path) -> None:
    stored = bytearray(to_stored(shared_file(tmp_path / "a.onnx", 200).read_bytes()))
    with pytest.raises(EspalierError, match="does not begin as such"):
        from_stored(b"x" + bytes(stored))
    numbers = np.random.default_rng(5)
    for _ in range(16):
        broken = bytearray(stored)
        broken[int(numbers.integers(40, len(stored)))] ^= 1 << int(numbers.integers(8))
        with pytest.raises(EspalierError, match="is damaged"):
            from_stored(bytes(broken))
    for length in (50, 100, len(stored) - 1):
        with pytest.raises(EspalierError, match="is damaged"):
            from_stored(bytes(stored[:length]))
    with pytest.raises(EspalierError, match="cannot be read as such"):
        to_stored(b"\xff\xff\xff\xff no graph")


def test_the_command_unpacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = shared_file(tmp_path / "a.onnx", 16)
    pack(path, tmp_path / "b.onnxh")
    assert main(["unpack", str(tmp_path / "b.onnxh")]) == 0
    assert (tmp_path / "b.onnx").read_bytes() == path.read_bytes()
    assert "MB, from 0.0" in capsys.readouterr().out
    assert main(["unpack", str(tmp_path / "b.onnxh")]) == 2 and "there already" in capsys.readouterr().err
    assert main(["unpack", str(path)]) == 2 and "ends with .onnxh" in capsys.readouterr().err
