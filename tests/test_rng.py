"""Streams are functions of their arguments alone."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from msda_analysis.rng import (
    derive_key,
    generator_from_key,
    numpy_from_key,
    philox_normals,
    philox_uniforms,
    philox_words,
    split_key,
    stream,
    take_key,
)  # fmt: skip


def test_a_stream_depends_on_every_argument():
    settings = itertools.product((0, 1), ("noise", "lam"), (0, 1), (0, 1), (0, 1))
    first = {}
    for seed, purpose, epoch, step, rank in settings:
        generator = stream(seed, purpose, epoch=epoch, step=step, rank=rank)
        first[seed, purpose, epoch, step, rank] = float(torch.rand((), generator=generator, dtype=torch.float64))
    assert len(set(first.values())) == 32
    again = float(torch.rand((), generator=stream(1, "lam", epoch=1), dtype=torch.float64))
    assert again == first[1, "lam", 1, 0, 0]


def test_keys_tell_types_and_borders_apart():
    keys = [derive_key(*parts) for parts in [(1, 2), (12,), ("1", 2), (1, "2"), ("a", "b"), ("ab",), (-1,), ()]]
    assert len(set(keys)) == len(keys) and all(0 <= key < 1 << 63 for key in keys)


def test_keys_are_the_same_on_every_machine():
    # made once with blake2b on "int:0", separator, "str:noise"; a change would silently break every stored seed
    assert derive_key(0, "noise") == 4304341121869371303


def test_take_key_advances_the_generator_by_a_fixed_amount():
    left, right = generator_from_key(3), generator_from_key(3)
    assert take_key(left) == take_key(right) != take_key(left)
    assert 0 <= take_key(right) < 1 << 63


def test_numpy_generators_repeat():
    assert np.array_equal(numpy_from_key(4).random(5), numpy_from_key(4).random(5))
    assert not np.array_equal(numpy_from_key(4).random(5), numpy_from_key(5).random(5))


def test_different_streams_are_uncorrelated():
    n = 20_000
    left = torch.randn(n, generator=stream(0, "noise"), dtype=torch.float64)
    right = torch.randn(n, generator=stream(0, "noise", step=1), dtype=torch.float64)
    assert abs(float((left * right).mean())) < 5 / n**0.5


def test_philox_known_answer():
    # published test vector of Philox-4x32-10: counter and key all zero
    assert [f"{int(word):08x}" for word in philox_words(0, 1, 4)[0]] == ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]


def test_philox_words_are_a_function_of_key_row_and_column():
    words = philox_words(99, 5, 12)
    assert torch.equal(philox_words(99, 3, 7), words[:3, :7])
    assert len(words.unique()) == 60 and bool((words >= 0).all()) and bool((words < 1 << 32).all())
    assert not torch.equal(philox_words(99 + (1 << 40), 5, 12), words)  # the high half of the key counts


@pytest.mark.parametrize("key", [0, 1, 0x5DEECE66D1234567, (1 << 63) - 1])
def test_a_key_splits_alike_on_the_host_and_in_a_tensor(key):
    keys, device_keys = split_key(key, 5), split_key(torch.tensor(key), 5)
    assert all(isinstance(found, torch.Tensor) and found.ndim == 0 for found in device_keys)
    assert keys == [int(found) for found in device_keys] and split_key(key, 2) == keys[:2]
    assert len({*keys, *split_key(key ^ 1, 5)}) == 10 and all(0 <= found < 1 << 63 for found in keys)
    assert torch.equal(philox_words(torch.tensor(key), 3, 7), philox_words(key, 3, 7))


def test_philox_normals_and_uniforms_have_their_laws():
    normals = philox_normals(3, 100, 301).double()
    assert stats.kstest(normals.flatten().numpy(), "norm").pvalue > 1e-4
    correlation = (normals[:, 0:-1:2] * normals[:, 1::2]).mean()  # the two of a Box-Muller pair
    assert abs(float(correlation)) < 5 / (100 * 150) ** 0.5
    assert stats.kstest(philox_uniforms(4, 20_000)[:, 0].numpy(), "uniform").pvalue > 1e-4
