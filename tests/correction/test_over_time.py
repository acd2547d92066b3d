"""A percentile of each pixel over time."""

import numpy as np
import pytest

from flimage_dask.correction.over_time import TimePercentile
from flimage_dask.errors import ParameterError

STACK = np.random.default_rng(0).normal(100, 10, (17, 6, 7))


@pytest.mark.parametrize("percent", [0, 5, 50.5, 100])
def test_the_percentile_is_numpys(percent):
    assert np.array_equal(TimePercentile(percent).image(STACK.copy()), np.percentile(STACK, percent, axis=0))


def test_values_that_are_not_finite_are_left_out():
    stack = STACK.copy()
    stack[2, 1], stack[3, 1, 1], stack[:, 0, 0] = np.nan, np.inf, -np.inf
    found = TimePercentile(30).image(stack.copy())
    assert found[0, 0] == 0
    assert found[1, 1] == pytest.approx(np.percentile(np.delete(STACK[:, 1, 1], [2, 3]), 30))
    assert np.allclose(found[2:], np.percentile(STACK[:, 2:], 30, axis=0))


def test_all_frames_of_a_short_series_are_taken_and_an_even_sample_of_a_long_one():
    assert TimePercentile(5, 10).sample(10).tolist() == list(range(10))
    sample = TimePercentile(5, 10).sample(1000)
    assert (len(sample), sample[0], sample[-1]) == (10, 0, 999)
    assert set(np.diff(sample)) == {111}
    assert TimePercentile(5, 1).sample(50).tolist() == [0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((-1,), "percent=-1"),
        ((100.1,), "percent=100.1"),
        (("5",), "percent='5'"),
        ((5, 0), "most_frames=0"),
        ((5, 2.5), "most_frames=2.5"),
    ],
)
def test_what_is_no_percentile_is_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        TimePercentile(*options)
