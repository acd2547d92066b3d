"""Which pixels a trace is measured of."""

import numpy as np
import pytest

from flimage_dask.correction.traced_pixels import EVERYWHERE, TracedPixels
from flimage_dask.errors import ParameterError

FRAME = np.arange(6.0).reshape(2, 3)


def test_regions_come_in_the_order_of_their_labels():
    labels = np.array([[0, 7, 7], [3, 3, 7]])
    traced = TracedPixels.of_labels(labels)
    assert [region.tolist() for region in traced.apart(traced.of(FRAME))] == [[3, 4], [1, 2, 5]]
    assert traced.regions_at(np.arange(5)).tolist() == [0, 0, 1, 1, 1]
    assert TracedPixels.of_labels(labels == 7).of(FRAME).tolist() == [1, 2, 5]


@pytest.mark.parametrize("labels", [np.zeros((3, 3), int), np.ones(3, int), np.ones((2, 2)), [["a"]]])
def test_what_are_no_labels_is_refused(labels):
    with pytest.raises(ParameterError, match="0 is no label"):
        TracedPixels.of_labels(labels)


def test_regions_larger_than_a_byte_are_counted():
    traced = TracedPixels.of_labels(np.repeat([[1, 2]], 70_000, axis=1).reshape(200, 700))
    assert traced.counts(np.ones(140_000, bool)).tolist() == [70_000, 70_000]


def test_all_pixels_are_one_region():
    assert EVERYWHERE.of(FRAME).tolist() == [0, 1, 2, 3, 4, 5]
    assert EVERYWHERE.sums(EVERYWHERE.of(FRAME)).tolist() == [15]
    assert EVERYWHERE.rows_of(FRAME) is FRAME


def test_regions_are_scaled_by_what_is_not_finite():
    traced = TracedPixels.of_labels([[1, 1, 2], [1, 1, 3]])
    is_finite = np.array([True, True, False, False, False, True])
    assert np.array_equal(traced.scales(is_finite), [2.0, np.nan, 1.0], equal_nan=True)
