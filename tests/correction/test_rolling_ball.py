"""The rolling ball, frame by frame."""

import sys

import numpy as np
import pytest

from flimage_dask.correction.rolling_ball import RollingBall
from flimage_dask.errors import ParameterError


@pytest.fixture
def frames():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:40, :50]
    return (rng.poisson(50 + 0.5 * x, (3, 40, 50)) + 300 * (np.hypot(y - 20, x - 20) < 4)).astype(np.float32)


@pytest.fixture
def restoration():
    return pytest.importorskip("skimage.restoration", reason="scikit-image is not installed")


@pytest.mark.parametrize("radius", [5, 12.5])
def test_the_ball_is_skimages(frames, restoration, radius):
    found = list(RollingBall(radius).images(frames))
    assert np.allclose(found, [restoration.rolling_ball(frame, radius=radius) for frame in frames], rtol=1e-6)
    expected = [restoration.rolling_ball(frame.astype(float), radius=radius) for frame in frames]
    assert np.array_equal(found, expected)
    assert np.array_equal(list(RollingBall(radius).images(frames.astype(np.uint16))), expected)


def test_pixels_that_are_not_finite_carry_no_ball(frames, restoration):
    expected = next(RollingBall(5).images(frames))
    damaged = frames.copy()
    damaged[0, 20, 20], damaged[0, 3, 3], damaged[0, 30, 40] = np.nan, np.inf, -np.inf
    found = next(RollingBall(5).images(damaged))
    assert np.isfinite(found).all()
    assert np.count_nonzero(found != expected) < 300
    assert not next(RollingBall(5).images(np.full((1, 9, 9), np.nan))).any()


@pytest.mark.parametrize("radius", [0, -3, 0.5, np.inf, np.nan, "5", None, True])
def test_a_ball_without_a_size_is_refused(radius):
    with pytest.raises(ParameterError, match="radius="):
        RollingBall(radius)


def test_without_scikit_image_the_error_names_the_extra(frames, monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.restoration", None)
    with pytest.raises(ImportError, match=r'a rolling ball needs scikit-image: pip install "flimage_dask\[denoise\]"'):
        RollingBall(5).on((40, 50), 3)
