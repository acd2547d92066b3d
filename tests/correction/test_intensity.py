"""The intensity of frames, masks and regions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from flimage_dask.correction.intensity import TraceOptions, intensities, statistic_named
from flimage_dask.correction.trace import positive_sums
from flimage_dask.correction.traced_pixels import EVERYWHERE, TracedPixels
from flimage_dask.errors import ParameterError

FRAMES = np.random.default_rng(0).normal(100, 20, (4, 9, 11)).astype(np.float32)
MASK = np.zeros((9, 11), bool)
MASK[2:5, 3:8] = True
STATISTICS = {
    "mean": np.mean,
    "median": np.median,
    "percentile-90": lambda pixels: np.percentile(pixels, 90),
    "positive_sum": lambda pixels: np.maximum(pixels, 0).sum(),
}


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize("mask", [None, MASK])
@pytest.mark.parametrize("background", [90.0, np.arange(4.0) + 90, np.linspace(80, 100, 99).reshape(9, 11)])
def test_each_statistic_is_that_of_the_pixels_above_the_background(name, mask, background):
    levels = background[:, None, None] if np.ndim(background) == 1 else background
    expected = [STATISTICS[name](frame[MASK] if mask is not None else frame) for frame in FRAMES.astype(float) - levels]
    found = intensities(FRAMES, background, name, TraceOptions(name, mask).pixels)
    assert found.shape == (4, 1)
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-12)


def test_the_positive_sum_of_all_pixels_is_flimages():
    assert np.array_equal(intensities(FRAMES, 95.0, "positive_sum", EVERYWHERE), positive_sums(FRAMES, 95.0))


@pytest.mark.parametrize("name", STATISTICS)
def test_pixels_that_are_not_finite_are_left_out(name):
    frames = np.full((2, 4, 5), 7.0)
    frames[0, 0, :3] = np.nan, np.inf, -np.inf
    frames[1] = np.nan
    found = intensities(frames, 2.0, name, EVERYWHERE)[:, 0]
    assert found[0] == pytest.approx(100.0 if name == "positive_sum" else 5.0)
    assert np.isnan(found[1])


@given(st.integers(1, 3), st.sampled_from(list(STATISTICS)))
def test_blocks_do_not_change_a_bit(split, name):
    whole = intensities(FRAMES, 95.0, name, EVERYWHERE)
    parts = [intensities(part, 95.0, name, EVERYWHERE) for part in (FRAMES[:split], FRAMES[split:])]
    assert np.array_equal(np.concatenate(parts), whole)


def test_the_mean_accumulates_in_float64():
    block = np.full((1, 512, 512), 0.1, np.float32)
    assert intensities(block, 0.0, "mean", EVERYWHERE)[0, 0] == pytest.approx(float(np.float32(0.1)), rel=1e-14)


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize("level", [95.0, np.linspace(80, 100, 99).reshape(9, 11)])
@given(labels=arrays(np.int16, (9, 11), elements=st.integers(-2, 9)), n_bad=st.integers(0, 60))
def test_each_label_is_measured_as_a_mask_of_it_would_be(name, level, labels, n_bad):
    labels[0, 0] = 1
    frames = FRAMES.copy()
    frames[1, 1:].reshape(-1)[:n_bad] = np.nan
    found = intensities(frames, level, name, TracedPixels.of_labels(labels))
    for label, of_label in zip(np.unique(labels[labels != 0]), found.T, strict=True):
        of_mask = intensities(frames, level, name, TracedPixels.of_mask(labels == label))
        np.testing.assert_allclose(of_label, of_mask[:, 0], rtol=1e-13)


@pytest.mark.parametrize("name", ["max", "percentile", "percentile-", "percentile-101", "percentile-x", "", None, 3])
def test_an_unknown_statistic_is_refused_with_those_that_exist(name):
    with pytest.raises(ParameterError, match=r"trace=.*'mean', 'median', or a percentile"):
        statistic_named(name)


@pytest.mark.parametrize("mask", [np.zeros((2, 2), bool), np.ones((2, 2)), np.ones(4, bool)])
def test_a_mask_that_marks_nothing_or_is_no_image_is_refused(mask):
    with pytest.raises(ParameterError, match="at least one True"):
        TraceOptions(mask=mask)


def test_a_mask_is_copied_and_must_have_the_shape_of_the_frames():
    mask = MASK.copy()
    options = TraceOptions(mask=mask)
    mask[:] = True
    assert options.mask.sum() == MASK.sum()
    options.check_shape((9, 11))
    with pytest.raises(ParameterError, match=r"mask= has shape \(9, 11\)"):
        options.check_shape((11, 9))
