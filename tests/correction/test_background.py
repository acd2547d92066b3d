"""The border of a frame and its mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flimage_dask.correction.background import border_mask, border_means, frame_backgrounds
from flimage_dask.errors import ParameterError


def test_the_border_is_what_lies_around_the_centre():
    mask = border_mask((6, 9), 2)
    assert mask.shape == (6, 9)
    assert not mask[2:4, 2:7].any()
    assert mask.sum() == 6 * 9 - 2 * 5


@pytest.mark.parametrize("border_px", [0, -1, 3, 20, 1.0, 2.5, "2", None, True])
def test_a_border_that_cannot_be_used_is_refused_with_the_allowed_range(border_px):
    with pytest.raises(ParameterError, match="from 1 to 2"):
        border_mask((6, 9), border_px)


def test_numpy_integers_are_integers():
    assert border_mask((6, 9), np.int16(2)).sum() == 44


def test_frames_without_room_for_a_border_are_refused():
    with pytest.raises(ParameterError, match="2x50 px are too small"):
        border_mask((2, 50), 1)


def test_the_mean_accumulates_in_float64():
    block = np.full((1, 512, 512), 0.1, np.float32)
    assert border_means(block, 20)[0] == pytest.approx(float(np.float32(0.1)), rel=1e-14)


def test_pixels_that_are_not_finite_are_left_out():
    block = np.ones((2, 5, 5))
    block[0, 0, :3] = np.nan, np.inf, -np.inf
    block[0, 2, 2] = 1000.0
    block[1, border_mask((5, 5), 1)] = np.nan
    means = border_means(block, 1)
    assert means[0] == 1.0
    assert np.isnan(means[1])


def test_a_view_with_strides_gives_the_same_bits():
    frames = np.random.default_rng(0).normal(100, 5, (3, 20, 40))
    view = frames[:, ::-1, ::2]
    assert np.array_equal(border_means(view, 3), border_means(view.copy(), 3))


@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.uint16]),
        st.tuples(st.integers(2, 6), st.integers(3, 9), st.integers(3, 9)),
        elements=st.integers(0, 60000).map(lambda value: value / 2 if value % 3 else value).map(int),
    ),
    st.integers(1, 5),
)
def test_blocks_do_not_change_a_bit(frames, split):
    parts = [border_means(part, 1) for part in (frames[:split], frames[split:])]
    assert np.array_equal(np.concatenate(parts), border_means(frames, 1))
    mask = border_mask(frames.shape[1:], 1)
    assert np.array_equal(border_means(frames, 1), [frame[mask].mean(dtype=np.float64) for frame in frames])


@pytest.mark.parametrize("shape", [(), (4,), (5, 6)])
def test_each_frame_gets_its_background(shape):
    background = np.arange(np.prod(shape, dtype=int), dtype=float).reshape(shape)
    levels = list(frame_backgrounds(background, np.zeros((4, 5, 6))))
    expected = background if shape == (4,) else [background] * 4
    assert len(levels) == 4
    assert all(np.array_equal(level, wanted) for level, wanted in zip(levels, expected, strict=True))


@pytest.mark.parametrize("shape", [(3,), (6, 5), (4, 5, 6), (1,)])
def test_a_background_of_another_shape_is_refused(shape):
    with pytest.raises(ParameterError, match=r"\(4,\).*\(5, 6\)"):
        frame_backgrounds(np.zeros(shape), np.zeros((4, 5, 6)))
