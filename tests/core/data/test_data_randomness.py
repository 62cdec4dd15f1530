"""Seeds and orders that depend on their parts only."""

import hashlib

import numpy as np
import pytest

from core.data.randomness import derive_seed, ranks_within, shuffled, uniform

# Written down, because a change would silently draw other splits for everyone. Longhand SplitMix64
# from state 0 gives the keys e220a839…, 6e789e6a…, 06c45d18…, f88bb8a8…, …
EXPECTED_ORDER = [2, 4, 6, 8, 5, 1, 7, 0, 9, 3]


def test_a_seed_is_the_first_63_bits_of_the_hash_of_its_parts():
    digest = hashlib.sha256(b"i:7\x1fs:stage\x1fs:order\x1fi:3").digest()
    assert derive_seed(7, "stage", "order", 3) == int.from_bytes(digest[:8], "big") >> 1


def test_seeds_differ_by_part_type_and_order():
    parts = [(1, 2), (2, 1), ("1", 2), (1.0, 2), (True, 2), (12,), ("1", "2"), ("12",), (None, 2), (1, 2, 0)]
    assert len({derive_seed(*each) for each in parts}) == len(parts)


def test_numpy_numbers_count_as_the_plain_ones():
    assert derive_seed(np.int64(5), np.float64(0.5), np.bool_(True)) == derive_seed(5, 0.5, True)


def test_seeds_fit_generators():
    assert all(0 <= derive_seed("x", number) < 2**63 for number in range(200))


def test_a_part_that_is_not_plain_data_is_refused():
    with pytest.raises(TypeError, match="Expected text, a number, a truth value or None, received list"):
        derive_seed([1])  # type: ignore[arg-type]


def test_shuffled_is_a_permutation_that_never_changes():
    assert sorted(shuffled(1000, 5)) == list(range(1000))
    assert shuffled(10, 0).tolist() == EXPECTED_ORDER
    assert shuffled(10, 1).tolist() != EXPECTED_ORDER
    assert shuffled(0, 1).tolist() == []


def test_shuffled_looks_uniform():
    places = np.array([np.flatnonzero(shuffled(10, seed) == 0)[0] for seed in range(2000)])
    counts = np.bincount(places, minlength=10)
    assert counts.min() > 150 and counts.max() < 250


def test_ranks_count_within_each_group():
    groups = np.array([0, 1, 0, 2, 1, 0])
    ranks = ranks_within(groups, 3)
    assert sorted(ranks[groups == 0]) == [0, 1, 2]
    assert sorted(ranks[groups == 1]) == [0, 1]
    assert ranks[groups == 2].tolist() == [0]


def test_uniform_numbers_are_splitmix64s_first_53_bits():
    # The published first outputs from state 0.
    keys = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert uniform(3, 0).tolist() == [(key >> 11) / 2**53 for key in keys]
    many = uniform(20_000, 5)
    assert many.min() >= 0 and many.max() < 1
    assert np.histogram(many, 10, (0, 1))[0].tolist() == pytest.approx([2000] * 10, abs=5 * 1800**0.5)
