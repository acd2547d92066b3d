"""Dark field and flat field."""

import numpy as np
import pytest

from flimage_dask.correction.fields import Fields
from flimage_dask.errors import ParameterError

SHAPE = (20, 30)
RNG = np.random.default_rng(0)
DARK = RNG.normal(100, 3, SHAPE)
LAMP = 1.2 - np.hypot(*np.mgrid[-1:1:20j, -1:1:30j]) / 2


def test_the_truth_comes_back_with_its_mean():
    truth = RNG.uniform(0, 500, (3, *SHAPE))
    gain = LAMP / LAMP.mean()
    fields = Fields(DARK, DARK + 4000 * LAMP)
    assert np.allclose(fields.corrected(truth * gain + DARK), truth, rtol=1e-12)
    assert fields.gain.mean() == pytest.approx(1.0, rel=1e-14)


@pytest.mark.parametrize("dark", [None, 100.0, DARK])
@pytest.mark.parametrize("flat", [None, 4000 * LAMP + 200])
def test_either_field_may_be_missing(dark, flat):
    frames = RNG.uniform(100, 500, (2, *SHAPE)).astype(np.float32)
    if dark is None and flat is None:
        assert Fields.of(dark, flat) is None
        return
    level = 0.0 if dark is None else dark
    gain = 1.0 if flat is None else (flat - level) / (flat - level).mean()
    found = Fields.of(dark, flat).corrected(frames)
    assert found.dtype == np.float32
    assert np.array_equal(found, ((frames - np.float64(level)) / gain).astype(np.float32))


def test_pixels_that_are_not_finite_stay_what_they_are():
    frames = np.full((1, *SHAPE), np.nan)
    frames[0, 0, 0] = np.inf
    found = Fields(1.0, 4000 * LAMP).corrected(frames)
    assert np.isposinf(found[0, 0, 0])
    assert np.isnan(found).sum() == found.size - 1


@pytest.mark.parametrize(
    ("dark", "flat", "message"),
    [
        (DARK[0], None, r"dark= has shape \(30,\)"),
        (np.nan, None, "dark=.*finite"),
        ("dark.npy", None, "dark="),
        (None, 1.0, r"flat= has shape \(\): give an image"),
        (None, np.full(SHAPE, np.inf), "flat=.*finite"),
        (DARK, np.ones((5, 5)), r"dark= has shape \(20, 30\), but flat= has \(5, 5\)"),
        (DARK, DARK + np.eye(20, 30), "580 of 600 pixels are not"),
    ],
)
def test_fields_that_cannot_be_used_are_refused(dark, flat, message):
    with pytest.raises(ParameterError, match=message):
        Fields(dark, flat)


def test_fields_of_another_shape_than_the_frames_are_refused():
    with pytest.raises(ParameterError, match=r"flat= has shape \(20, 30\); the frames have \(30, 20\)"):
        Fields(0.0, LAMP).check_shape((30, 20))
