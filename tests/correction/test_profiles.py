"""Smooth backgrounds fitted to frames: as qpimage fits them, whatever the blocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flimage_dask.correction.background import border_mask
from flimage_dask.correction.profiles import OFFSETS, TERMS, Profile
from flimage_dask.errors import ParameterError

SHAPE = (60, 83)


def curved_frames(n=3, shape=SHAPE, noise=2.0):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: shape[0], : shape[1]]
    surface = 100 + 0.3 * y - 0.2 * x + 0.01 * y * x + 0.004 * y**2 + 1e-3 * x**2
    return (surface + rng.normal(0, noise, (n, *shape))).astype(np.float32)


def image_of(frame, *profile, border_px=7, **named):
    """Return the background of one frame."""
    (image,) = Profile(*profile, **named).on(frame.shape, border_px).images(frame[None])
    return image


def qpimages(frame, **options):
    estimate = pytest.importorskip("qpimage.bg_estimate", reason="qpimage is not installed (the extra 'test')").estimate
    return estimate(frame.astype(float), **options)


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("kind", TERMS)
@pytest.mark.parametrize("region", ["border", "frame", "mask"])
@pytest.mark.filterwarnings("ignore")
def test_the_profile_is_qpimages(kind, offset, region):
    frame = curved_frames(1)[0]
    mask = np.random.default_rng(1).random(SHAPE) < 0.3
    how = {"border": {"border_px": 7}, "frame": {}, "mask": {"from_mask": mask}}[region]
    asked = "mean" if (kind, offset) == ("offset", "fit") else offset  # qpimage refuses that pair
    expected = qpimages(frame, fit_profile=kind, fit_offset=asked, **how)
    found = image_of(frame, kind, offset, mask if region == "mask" else region)
    # qpimage's fit of a Gauss curve stops at 1e-8 of a flat sum of squares.
    assert np.allclose(found, expected, rtol=1e-6 if offset != "gauss" else 1e-5, atol=0)


def test_the_constant_of_a_profile_is_that_of_least_squares():
    frame = curved_frames(1)[0]
    mask = border_mask(SHAPE, 7)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    terms = np.stack([np.ones(SHAPE), y, x, x * y, y**2, x**2], axis=-1)
    coefficients = np.linalg.lstsq(terms[mask], frame[mask].astype(float), rcond=None)[0]
    assert np.allclose(image_of(frame, "poly2o"), terms @ coefficients, rtol=1e-12)


def test_pixels_that_are_not_finite_are_left_out_wherever_they_are():
    frame = curved_frames(1, noise=0)[0].astype(float)
    expected = image_of(frame, "poly2o", region="frame")
    frame[3, 4], frame[30, 40], frame[59, 80] = np.nan, np.inf, -np.inf
    for region in ("frame", "border"):
        assert np.allclose(image_of(frame, "poly2o", region=region), expected, rtol=1e-7)


def test_a_frame_that_shows_too_little_has_no_profile():
    frames = curved_frames(2).astype(float)
    frames[1, 1:] = np.nan
    image, nothing = (image.copy() for image in Profile("tilt").on(SHAPE, 7).images(frames))
    assert np.isfinite(image).all()
    assert np.isnan(nothing).all()


def test_a_small_region_in_a_corner_is_fitted_as_well_as_a_large_one():
    shape = (600, 700)
    frame = curved_frames(1, shape, noise=0)[0].astype(float)
    mask = np.zeros(shape, bool)
    mask[590:, 690:] = True
    found = image_of(frame, "poly2o", region=mask)
    assert np.allclose(found[mask], frame[mask], rtol=1e-6)


@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.uint16]),
        st.tuples(st.integers(2, 5), st.integers(5, 9), st.integers(5, 9)),
        elements=st.integers(0, 60000),
    ),
    st.integers(1, 4),
    st.sampled_from(list(TERMS)),
    st.sampled_from(["mean", "mode"]),
    st.sampled_from(["border", "frame"]),
)
def test_blocks_do_not_change_a_bit(frames, split, kind, offset, region):
    fit = Profile(kind, offset, region).on(frames.shape[1:], 2)
    together = [image.copy() for image in fit.images(frames)]
    parts = [image.copy() for part in (frames[:split], frames[split:]) for image in fit.images(part)]
    assert np.array_equal(parts, together)
    assert np.array_equal([next(fit.images(frame[::1].copy()[None])) for frame in frames], together)


def test_strips_do_not_change_a_bit(monkeypatch):
    frames = curved_frames(2)
    fit = Profile("poly2o", region="frame").on(SHAPE, 7)
    together = [image.copy() for image in fit.images(frames)]
    monkeypatch.setattr("flimage_dask.correction.strips._STRIP_PIXELS", 7 * SHAPE[1])
    assert np.array_equal([image.copy() for image in fit.images(frames)], together)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "cubic"}, "kind='cubic'.*'poly2o'"),
        ({"offset": "median"}, "offset='median'.*'mode'"),
        ({"region": "centre"}, "region='centre'.*'border'"),
        ({"region": np.zeros((3, 3), bool)}, "0 marked pixels"),
        ({"region": np.ones((3, 3))}, "type float64"),
    ],
)
def test_what_cannot_be_fitted_is_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        Profile(**options)


def test_a_region_that_does_not_determine_the_profile_is_refused():
    row = np.zeros(SHAPE, bool)
    row[3] = True
    with pytest.raises(ParameterError, match=r"a mask of 83 px.*too small for the profile 'tilt'.*region="):
        Profile("tilt", region=row).on(SHAPE, 7)
    with pytest.raises(ParameterError, match=r"region= has shape \(60, 83\); the frames have \(50, 83\)"):
        Profile("tilt", region=row).on((50, 83), 7)
    with pytest.raises(ParameterError, match="border_px=30"):
        Profile().on(SHAPE, 30)
