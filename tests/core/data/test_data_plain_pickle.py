"""Pickles are read, and never run."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pickles import DTYPE, RECONSTRUCT, python2

from core.common.errors import EspalierError
from core.data.plain_pickle import read_pickle

ARRAY = np.arange(24, dtype=np.uint8).reshape(4, 6)


def test_the_tests_own_python_2_pickles_are_real_ones():
    content = {"data": ARRAY, "labels": [3, 1], "name": "caf\xe9"}
    real = pickle.loads(python2(content), encoding="latin1")
    assert np.array_equal(real["data"], ARRAY) and real["data"].dtype == np.uint8
    assert (real["labels"], real["name"]) == ([3, 1], "caf\xe9")


@pytest.mark.parametrize("array", [ARRAY, np.asfortranarray(ARRAY), ARRAY[0], ARRAY[:0]])
def test_python_2_arrays_and_text(array):
    read = read_pickle(python2({"data": array, "labels": [3, 1], "name": "caf\xe9"}), "batch")
    assert np.array_equal(read[b"data"], array) and read[b"data"].dtype == np.uint8
    assert (read[b"labels"], read[b"name"]) == ([3, 1], b"caf\xe9")


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_python_3_arrays_and_text(protocol):
    content = {b"data": ARRAY, "labels": [3, 1], b"bytes": bytes(range(256))}
    read = read_pickle(pickle.dumps(content, protocol), "batch")
    assert np.array_equal(read.pop(b"data"), ARRAY)
    assert read == {"labels": [3, 1], b"bytes": bytes(range(256))}


class Runs:
    """Its pickle asks for a call."""

    def __init__(self, call: Any, *arguments: Any):
        self.asked = (call, arguments)

    def __reduce__(self) -> Any:
        return self.asked


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_planted_call_is_refused_and_not_made(protocol, tmp_path):
    marker = tmp_path / "ran"
    planted = pickle.dumps({"data": Runs(os.mkdir, str(marker))}, protocol)
    with pytest.raises(EspalierError) as caught:
        read_pickle(planted, "data_batch_1")
    assert str(caught.value) == (
        f"Expected only arrays, text and lists in data_batch_1, received a reference to {os.mkdir.__module__}.mkdir. "
        "The file was not read, because it could run a program. Download it again from a place you trust."
    )
    assert not marker.exists()
    pickle.loads(planted)
    assert marker.exists()  # the plant works where pickles are trusted


@pytest.mark.parametrize("asked", [
    b"cbuiltins\neval\n(U\x011tR.",  # REDUCE
    b"(U\x011ibuiltins\neval\n.",  # INST
    b"(cbuiltins\neval\nU\x011o.",  # OBJ
    b"c__builtin__\neval\n(U\x011tR.",  # Python 2's name
    b"cnumpy\nload\n(U\x01xtR.",
    b"cnumpy\nfromfile\n.",
    b"cnumpy.core.multiarray\nscalar\n.",
    b"c_codecs\nlookup\n.",
    b"ccore.data.plain_pickle\n_MakeArray\n.",
    b"\x80\x04\x8c\x05numpy\x8c\x0fdtype.__class__\x93.",  # STACK_GLOBAL with a dotted name
    b"ccopyreg\n_reconstructor\n(cbuiltins\nobject\ncbuiltins\nobject\nNtR.",
])  # fmt: skip
def test_every_other_name_is_refused(asked):
    with pytest.raises(EspalierError, match="received a reference to "):
        read_pickle(asked, "batch")


@pytest.mark.parametrize("damaged", [
    b"",
    b"no pickle",
    b"\x80\x02}(U\x04data",  # cut off
    b"Pid\n.",  # a persistent id
    b"\x82\x01.",  # an extension
    RECONSTRUCT + b".",  # an array without its state
    RECONSTRUCT + b"(K\x01K\x03\x85" + DTYPE + b"I00\nU\x02abtb.",  # 3 values, 2 bytes
    RECONSTRUCT + b"(K\x01J\xff\xff\xff\xffJ\xfe\xff\xff\xff\x86" + DTYPE + b"I00\nU\x02abtb.",  # -1 × -2 values
    RECONSTRUCT + b"(K\x01K\x02\x85U\x02u1I00\nU\x02abtb.",  # text for a dtype
    b"cnumpy\ndtype\nU\x01OK\x00K\x01\x87R.",  # an array of objects
    b"cnumpy\ndtype\n(tR.",
    b"cnumpy\nndarray\n(K\x05tR.",  # the type itself called
    b"c_codecs\nencode\n(X\x01\x00\x00\x00xX\x05\x00\x00\x00rot13tR.",
    b"cnumpy.core.multiarray\n_reconstruct\n(NNNtR.",
    b"cnumpy\ndtype\n)\x81.",  # NEWOBJ of what is no class
])  # fmt: skip
def test_damaged_pickles_are_said_to_be(damaged):
    with pytest.raises(EspalierError) as caught:
        read_pickle(damaged, "batch")
    assert str(caught.value) == (
        "Expected a whole file of arrays, text and lists, but batch is damaged. Copy or download it again."
    )
    assert caught.value.details


@pytest.mark.parametrize("name", [b"cnumpy\ndtype\n", b"cnumpy\nndarray\n", b"c_codecs\nencode\n", b"]"])
@pytest.mark.parametrize("attribute", [b"__call__", b"__setstate__", b"__class__", b"x"])
def test_a_pickle_cannot_change_what_stands_for_the_known_names(name, attribute):
    text = b"U" + bytes([len(attribute)]) + attribute
    for state in (b"}(" + text + b"K\x01u", b"N}(" + text + b"K\x01u\x86"):
        with pytest.raises(EspalierError, match="damaged"):
            read_pickle(name + state + b"b.", "batch")
    assert np.array_equal(read_pickle(python2({"data": ARRAY}), "batch")[b"data"], ARRAY)


def test_nothing_else_reads_pickles():
    """The one place where a data set's pickle is opened is the one that runs nothing."""
    core = Path(__file__).parents[3] / "core"
    readers = [
        path.name for path in (core / "data").rglob("*.py") if "import pickle" in path.read_text("utf-8")
    ]
    assert readers == ["plain_pickle.py"]


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02]r\xff\xff\xff\xff.",  # room for four thousand million remembered values
        b"\x80\x02\x8b\x00\x00\x00\x7f.",  # a number of two thousand million bytes
        b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",  # a bytearray larger than any memory
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f].",  # a frame likewise
    ],
)
def test_a_few_bytes_that_ask_for_all_memory_are_refused(content):
    with pytest.raises(EspalierError, match="is damaged"):
        read_pickle(content, "batch")
