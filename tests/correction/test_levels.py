"""One number for the background of a frame."""

import numpy as np
import pytest

from flimage_dask.correction.background import border_mask, border_means
from flimage_dask.correction.levels import FrameBackground, fullest_bin
from flimage_dask.errors import ParameterError

FRAMES = np.random.default_rng(0).poisson(100, (4, 20, 30)).astype(np.float32)
CELL = np.zeros((20, 30), bool)
CELL[5:15, 5:15] = True


@pytest.mark.parametrize(
    ("statistic", "of"),
    [
        ("mean", np.mean),
        ("median", np.median),
        ("percentile-10", lambda pixels: np.percentile(pixels, 10)),
        ("mode", fullest_bin),
    ],
)
@pytest.mark.parametrize("region", ["border", "frame", "mask"])
def test_the_statistic_is_that_of_the_finite_pixels_of_the_region(statistic, of, region):
    mask = {"border": border_mask((20, 30), 3), "frame": np.ones((20, 30), bool), "mask": CELL}[region]
    frames = FRAMES.copy()
    frames[1, 0, :3] = np.nan, np.inf, -np.inf
    frames[2, 6, 6] = np.nan
    levels = FrameBackground(statistic, CELL if region == "mask" else region).on((20, 30), 3).of(frames)
    pixels = [frame[mask & np.isfinite(frame)].astype(float) for frame in frames]
    assert np.allclose(levels, [of(values) for values in pixels], rtol=1e-14)


def test_the_default_is_the_mean_of_the_border():
    levels = FrameBackground().on((20, 30), 3)
    assert np.array_equal(levels.of(FRAMES), border_means(FRAMES, 3))
    assert (levels.border_px, levels.in_words) == (3, "mean of each frame, border of 3 px")


def test_a_frame_without_a_finite_pixel_in_the_region_has_no_background():
    frames = FRAMES.astype(float)
    frames[2, CELL] = np.nan
    levels = FrameBackground("median", CELL).on((20, 30), 3).of(frames)
    assert np.flatnonzero(np.isnan(levels)).tolist() == [2]


def test_the_mode_is_qpimages():
    estimate = pytest.importorskip("qpimage.bg_estimate", reason="qpimage is not installed (the extra 'test')")
    for seed in range(5):
        values = np.random.default_rng(seed).gamma(3, 20, 1000)
        assert fullest_bin(values) == pytest.approx(estimate.offset_mode(values), rel=1e-12)
    assert fullest_bin(np.full(9, 7.0)) == 7.0


def test_debris_in_the_border_moves_the_mean_but_not_the_median_or_the_mode():
    frames = FRAMES.copy()
    frames[:, :2, :10] = 5000
    found = {name: FrameBackground(name).on((20, 30), 3).of(frames).mean() for name in ("mean", "median", "mode")}
    assert found["mean"] > 300
    assert abs(found["median"] - 100) < 3
    assert abs(found["mode"] - 100) < 120  # debris makes the bins wide


@pytest.mark.parametrize("statistic", ["positive_sum", "sum", "percentile-101", 3, None])
def test_an_unknown_statistic_is_refused(statistic):
    with pytest.raises(ParameterError, match=r"of a background.*'mode'"):
        FrameBackground(statistic)
