"""The intensity trace, and its variant that reads each frame once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flimage_dask.correction.band_sums import Band, BandSums, band_sums
from flimage_dask.correction.trace import positive_sums
from flimage_dask.correction.traced_pixels import TracedPixels
from flimage_dask.errors import ParameterError


def noisy_frames(n_frames=3, shape=(64, 48), dtype=np.float32, seed=0):
    """Make frames of background 100, noise 5 and a bright object."""
    frames = np.random.default_rng(seed).normal(100, 5, (n_frames, *shape))
    frames[:, 20:40, 10:30] += 300
    return frames.astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.float64, ">f4"])
def test_the_sum_is_that_of_the_positive_part_in_float64(dtype):
    frames = np.clip(noisy_frames(dtype=np.float64), 0, 250).astype(dtype)
    above = frames.astype(np.float64) - 99.7
    expected = [frame[frame > 0].sum() for frame in above]
    np.testing.assert_allclose(positive_sums(frames, 99.7)[:, 0], expected, rtol=1e-14)


def test_a_background_may_be_a_number_for_each_frame_or_an_image():
    frames = noisy_frames()
    levels = np.array([90.0, 100.0, 110.0])
    image = np.random.default_rng(1).normal(100, 2, frames.shape[1:])
    by_level = [positive_sums(frames[i : i + 1], levels[i])[0] for i in range(3)]
    assert np.array_equal(positive_sums(frames, levels), by_level)
    np.testing.assert_allclose(positive_sums(frames, image)[:, 0], np.maximum(frames - image, 0).sum((1, 2)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_finite_are_left_out_and_the_rest_scaled_up(bad):
    frames = np.full((2, 4, 5), 7.0)
    frames[0, 0, :3] = bad
    frames[1] = bad
    sums = positive_sums(frames, 2.0)
    assert sums[0] == pytest.approx(20 * 5.0)
    assert np.isnan(sums[1])


def test_a_frame_without_a_background_has_no_sum():
    assert np.isnan(positive_sums(np.ones((1, 2, 2)), np.array([np.nan]))[0])


@given(st.integers(1, 7), st.integers(0, 100))
def test_blocks_do_not_change_a_bit(split, seed):
    frames = noisy_frames(8, (9, 11), seed=seed)
    parts = [positive_sums(part, 101.5) for part in (frames[:split], frames[split:])]
    assert np.array_equal(np.concatenate(parts), positive_sums(frames, 101.5))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.uint16, np.int64, ">f4"])
@given(
    lo=st.floats(95, 105),
    width=st.floats(0, 0.05) | st.floats(0, 7),
    share=st.floats(0, 1),
    seed=st.integers(0, 9),
    are_whole=st.booleans(),
)
def test_one_pass_agrees_with_two(dtype, lo, width, share, seed, are_whole):
    frames = noisy_frames(2, dtype=dtype, seed=seed)
    if are_whole:
        frames = np.rint(frames).astype(dtype)
    band = Band(lo, lo + width)
    sums = band_sums(frames, band, 1000)
    background = min(lo + share * width, band.hi)
    found = sums.positive_sums(background)
    if sums.resolved.all():
        np.testing.assert_allclose(found, positive_sums(frames, background), rtol=1e-12)
    else:
        assert found is None


def test_pixels_at_the_limits_of_the_band_count_right():
    # float32(100.1) lies above 100.1: comparing in float32 alone would call the two equal.
    frames = np.full((1, 64, 64), 50, np.float32)
    frames[0, :2, :8] = np.float32(100.1)
    frames[0, 2, :8] = np.float32(100.3)
    for band in (Band(100.1, 100.3), Band(100.2, 100.3), Band(100.0, 100.1), Band(100.1, 100.1)):
        sums = band_sums(frames, band, 1000)
        for background in (band.lo, band.hi):
            expected = positive_sums(frames, background)
            np.testing.assert_allclose(sums.positive_sums(background), expected, rtol=1e-12)


def test_one_pass_leaves_out_pixels_that_are_not_finite():
    frames = noisy_frames(3)
    frames[0, :2, :3] = [[np.nan, np.inf, -np.inf]] * 2
    frames[1] = np.nan
    found = band_sums(frames, Band(99.99, 100.01), 1000).positive_sums(100.0)
    np.testing.assert_allclose(found, positive_sums(frames, 100.0), rtol=1e-12)
    assert np.isnan(found[1])


def test_outside_the_band_the_frames_must_be_read_again():
    sums = band_sums(noisy_frames(), Band(99.99, 100.01), 1000)
    assert sums.positive_sums(99.98) is None
    assert sums.positive_sums(100.02) is None
    assert sums.positive_sums(np.nan) is None


def test_a_band_that_holds_too_many_values_is_unresolved_and_keeps_nothing():
    frames = noisy_frames(2)
    frames[0] = 7.0
    sums = band_sums(frames, Band(99.0, 101.0), most_values=10)
    assert sums.resolved.tolist() == [True, False]
    assert sums.n_within.tolist() == [0, 0]
    assert sums.values.size == sums.counts.size == 0
    assert sums.positive_sums(100.0) is None


def test_any_number_of_equal_counts_within_the_band_is_one_value():
    frames = np.random.default_rng(0).poisson(100, (3, 64, 64)).astype(np.float32)
    sums = band_sums(frames, Band(98.5, 101.5), most_values=3)
    assert sums.n_within.tolist() == [3, 3, 3]
    for background in (98.5, 99.9, 101.0, 101.5):
        np.testing.assert_allclose(sums.positive_sums(background), positive_sums(frames, background), rtol=1e-12)


def test_more_whole_numbers_than_are_to_be_kept_are_too_many():
    frames = np.random.default_rng(0).poisson(100, (3, 64, 64)).astype(np.float32)
    for most_values, are_kept in ((2, False), (3, True)):
        sums = band_sums(frames, Band(98.5, 101.5), most_values)
        assert sums.resolved.tolist() == [are_kept] * 3
        assert sums.values.size == 9 * are_kept


@pytest.mark.parametrize("dtype", [np.float32, np.uint16, ">f4"])
@given(n_labels=st.integers(1, 40), seed=st.integers(0, 9), most_values=st.sampled_from([100, 10_000]))
def test_regions_are_summed_as_if_they_were_read_twice(dtype, n_labels, seed, most_values):
    labels = np.random.default_rng(seed).integers(0, n_labels + 1, (64, 48))
    labels[0, 0] = 1
    traced = TracedPixels.of_labels(labels)
    frames = noisy_frames(3, dtype=dtype, seed=seed)
    if frames.dtype.kind == "f":
        frames[1, :30] = np.nan
    band = Band(99.5, 100.5)
    sums = BandSums.concatenate([band_sums(part, band, most_values, traced) for part in (frames[:1], frames[1:])])
    found = sums.positive_sums(100.2)
    if sums.resolved.all():
        np.testing.assert_allclose(found, positive_sums(frames, 100.2, traced), rtol=1e-12)
    else:
        assert found is None
    assert (sums.n_within <= most_values).all()


def test_blocks_of_frames_join():
    frames = noisy_frames(5)
    band = Band(99.995, 100.005)
    joined = BandSums.concatenate([band_sums(part, band, 1000) for part in (frames[:2], frames[2:3], frames[3:])])
    whole = band_sums(frames, band, 1000)
    assert np.array_equal(joined.positive_sums(100.0), whole.positive_sums(100.0))


def test_only_sums_of_one_band_join():
    frames = noisy_frames(1)
    with pytest.raises(ParameterError, match="same band"):
        BandSums.concatenate([band_sums(frames, Band(1, 2), 1000), band_sums(frames, Band(1, 3), 1000)])
    with pytest.raises(ParameterError, match="at least one"):
        BandSums.concatenate([])


@pytest.mark.parametrize("limits", [(2.0, 1.0), (np.nan, 1.0), (0.0, np.inf)])
def test_a_band_needs_finite_limits_in_order(limits):
    with pytest.raises(ParameterError, match="lo <= hi"):
        Band(*limits)
