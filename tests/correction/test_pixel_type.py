"""Frames as whole numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flimage_dask.correction.pixel_type import contiguous, in_type

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
