"""Frames as whole numbers."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flimage_dask.correction import strips
from flimage_dask.correction.pixel_type import contiguous, in_type
from flimage_dask.errors import ParameterError

FRAMES = hnp.arrays(np.float32, (2, 3, 4), elements=st.floats(-1e5, 1e5, width=32))


@given(FRAMES, st.sampled_from(["uint8", "int16", "uint16", "int32"]))
def test_pixels_are_rounded_and_clipped_and_the_clipped_are_counted(block, name):
    info = np.iinfo(name)
    expected = np.clip(np.rint(block), info.min, info.max)
    whole, n_clipped = in_type(block, np.dtype(name))
    assert whole.dtype == name
    assert np.array_equal(whole, expected)
    assert n_clipped == np.count_nonzero(expected != np.rint(block))


@pytest.mark.parametrize("name", ["int8", "int64", "uint64"])
def test_the_ends_of_every_type_are_reached(name):
    whole, n_clipped = in_type(np.array([[[-np.inf, np.inf, np.nan, 1e30, 5.4]]]), np.dtype(name))
    info = np.iinfo(name)
    assert whole.tolist() == [[[info.min, info.max, 0, info.max, 5]]]
    assert n_clipped == 4


def in_type_at_once(block, dtype):
    """Round all frames together, in the plainest way; whole numbers as Python's, which are exact."""
    lowest, highest = np.iinfo(dtype).min, np.iinfo(dtype).max
    if block.dtype.kind in "iu":
        exact = block.astype(object)
        whole = np.clip(exact, lowest, highest)
        return whole.astype(dtype), np.count_nonzero(whole != exact)
    rounded = np.rint(block, dtype=np.float64)
    below, above = rounded < float(lowest), rounded >= float(highest) + 1.0
    clipped = below | above | np.isnan(rounded)
    whole = np.where(clipped, 0.0, rounded).astype(dtype)
    whole[below], whole[above] = lowest, highest
    return whole, np.count_nonzero(clipped)


BLOCKS = st.one_of(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.float16]),
        hnp.array_shapes(min_dims=2, max_dims=3, min_side=0, max_side=6),
        elements=st.one_of(
            st.floats(width=16), st.sampled_from([-0.5, 0.5, 1.5, 127.5, 255.4, 255.5, -128.5, np.nan, np.inf, -np.inf])
        ),
    ),
    hnp.arrays(st.sampled_from([np.int64, np.uint64]), (2, 3, 4)),
)


@example(np.full((2, 3, 4), 2**53 + 1, np.uint64), "int64", 5)
@example(np.full((2, 3, 4), 2**63 + 1, np.uint64), "int64", 5)
@given(BLOCKS, st.sampled_from(["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"]), st.integers(1, 20))
def test_strips_give_the_same_as_all_frames_at_once(block, name, strip_pixels):
    dtype = np.dtype(name)
    if np.can_cast(block.dtype, dtype, "safe"):
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strips, "_STRIP_PIXELS", strip_pixels)
        for one in (block, block[..., ::2].swapaxes(-1, -2)):
            whole, n_clipped = in_type(one, dtype)
            expected, n_expected = in_type_at_once(one, dtype)
            assert (whole.dtype, n_clipped) == (dtype, n_expected)
            assert np.array_equal(whole, expected)


@pytest.mark.parametrize("worst", [3.0, np.nan, 1e9], ids=["all fit", "nan", "too large"])
def test_little_more_memory_than_the_result_is_taken(worst):
    block = np.full((40, 300, 400), 2.0, np.float32)
    block[:, 5, 5] = worst
    tracemalloc.start()
    try:
        in_type(block, np.dtype("uint16"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.2 * block.size * 2


@pytest.mark.parametrize(("have", "wanted"), [("float64", "float32"), ("uint8", "int16"), ("uint16", "uint16")])
def test_what_needs_no_rounding_stays_as_it_is(have, wanted):
    block = np.ones((1, 2, 2), have)
    found, n_clipped = in_type(block, np.dtype(wanted))
    assert found is block
    assert n_clipped == 0


@pytest.mark.parametrize("have", ["float64", "int32", "int64"])
def test_what_a_smaller_float_cannot_hold_becomes_infinite_and_is_counted(have):
    found, n_clipped = contiguous(np.array([[1, -70_000, 5]], have), np.dtype("float16"))
    assert found.tolist() == [[1.0, -np.inf, 5.0]]
    assert n_clipped == 1


def test_what_is_infinite_or_nan_already_is_not_counted():
    found, n_clipped = contiguous(np.array([[np.inf, np.nan, 1e39]]), np.dtype("float32"))
    assert np.array_equal(found, [[np.inf, np.nan, np.inf]], equal_nan=True)
    assert n_clipped == 1


@pytest.mark.parametrize(("source", "target"), [("uint64", "int64"), ("int64", "uint64"), ("int64", "int32")])
def test_the_largest_integers_are_kept_or_clipped_as_they_are(source, target):
    values = [2**53 + 1, np.iinfo(source).max, max(-5, np.iinfo(source).min)]
    block = np.array([[values]], source)
    stored, n_clipped = in_type(block, np.dtype(target))
    limits = np.iinfo(target)
    assert stored.dtype == target
    assert stored[0, 0].tolist() == [min(max(value, limits.min), limits.max) for value in values]
    assert n_clipped == sum(not limits.min <= value <= limits.max for value in values)


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_masked_pixels_are_refused(dtype):
    with pytest.raises(ParameterError, match=r"masked.*fill them first"):
        in_type(np.ma.masked_greater(np.ones((1, 2, 2)), 0.5), np.dtype(dtype))
