"""Pixels that a trace cannot trust."""

import numpy as np
import pytest

from flimage_dask.correction.pixels import PixelCounts, count_pixels
from flimage_dask.correction.traced_pixels import EVERYWHERE, TracedPixels


def test_finite_and_saturated_pixels_are_counted_frame_by_frame():
    frames = np.array([[[1, 255, 255]], [[np.nan, np.inf, 300]]], np.float32)
    assert count_pixels(frames, EVERYWHERE, 255.0).tolist() == [[3, 1], [2, 2]]
    assert count_pixels(frames, TracedPixels.of_mask(np.array([[True, True, False]])), 255.0).tolist() == [
        [2, 0],
        [1, 1],
    ]
    assert count_pixels(frames, EVERYWHERE, None).tolist() == [[3, 1], [0, 0]]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.bool_])
def test_integers_are_all_finite(dtype):
    assert count_pixels(np.ones((1, 2, 2), dtype), EVERYWHERE, None).tolist() == [[4], [0]]


def counts(saturated):
    return PixelCounts(10_000, np.full(3, 10_000), np.array(saturated), 255.0)


def test_many_saturated_pixels_are_a_warning_that_names_the_worst_frame():
    (text,) = counts([100, 300, 0]).warnings()
    assert "3.0% of the pixels of frame 1 are saturated (from 255 counts)" in text


def test_a_few_saturated_pixels_and_those_of_excluded_frames_are_none():
    assert counts([10, 10, 0]).warnings() == ()
    assert counts([5, 300, 0]).warnings(excluded=(1,)) == ()
