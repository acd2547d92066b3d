"""Rows summed within a mask."""

import numpy as np
import pytest

from flimage_dask.correction import row_sums
from flimage_dask.correction.row_sums import RowSums

POWERS = np.linspace(-1, 1, 9) ** np.arange(3)[:, None]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("few", [0.0, 1.0], ids=["strips", "picked"])
def test_both_ways_add_up_the_same_pixels(monkeypatch, share, few):
    monkeypatch.setattr(row_sums, "_FEW", few)
    rng = np.random.default_rng(0)
    mask, frame = rng.random((7, 9)) < share, rng.normal(100, 10, (7, 9))
    expected = np.where(mask, frame, 0) @ POWERS.T
    assert np.allclose(RowSums(mask, POWERS).of(frame), expected.T, rtol=1e-12, atol=1e-12)


def test_what_is_not_finite_shows_in_its_row():
    frame = np.ones((7, 9))
    frame[2, 3] = np.inf
    sums = RowSums(np.ones((7, 9), bool), POWERS).of(frame)
    assert np.flatnonzero(~np.isfinite(sums).all(axis=0)).tolist() == [2]
