"""Denoising by total variation."""

import sys

import numpy as np
import pytest

from flimage_dask.correction.denoise import denoise_tv


@pytest.fixture
def frames():
    return np.random.default_rng(0).poisson(50, (3, 20, 24)).astype(np.float32)


@pytest.mark.parametrize("weight", [2, 0.5, 10.0])
def test_each_frame_is_denoised_as_flimage_does(frames, weight):
    restoration = pytest.importorskip("skimage.restoration", reason="scikit-image is not installed")
    expected = [restoration.denoise_tv_chambolle(frame.astype(float), weight=weight) for frame in frames]
    denoised = denoise_tv(frames, weight)
    assert denoised.dtype == np.float32
    assert np.array_equal(denoised, np.array(expected, np.float32))


def test_integer_counts_stay_counts(frames):
    pytest.importorskip("skimage.restoration", reason="scikit-image is not installed")
    assert np.array_equal(denoise_tv(frames.astype(np.uint16)), denoise_tv(frames))


def test_without_scikit_image_the_error_names_the_extra(frames, monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.restoration", None)
    with pytest.raises(ImportError, match=r'pip install "flimage_dask\[denoise\]"'):
        denoise_tv(frames)
