"""Trials with a fit each, as one estimate."""

import numpy as np
import pytest

from flimage_dask.correction.bleaching import BleachingEstimate, FitOptions, estimate_bleaching
from flimage_dask.errors import ParameterError

TIMES = np.arange(30.0)
RATES = 0.05, 0.1, 0.2


def parts(background=2.0, **fit):
    return [
        estimate_bleaching(
            TIMES + 100 * k,
            80 * np.exp(-rate * TIMES) + 20,
            background=background,
            border_px=20,
            fit=FitOptions(**fit),
        )
        for k, rate in enumerate(RATES)
    ]


def test_each_trial_is_corrected_to_its_own_start():
    found = BleachingEstimate.joined(parts())
    expected = np.concatenate([100 / (80 * np.exp(-rate * TIMES) + 20) for rate in RATES])
    np.testing.assert_allclose(found.factors, expected, rtol=1e-9)
    assert found.parameters["rate[2]"] == pytest.approx(0.2)
    assert found.background.tolist() == [2.0] * 90
    assert found.r2 == pytest.approx(1.0)


def test_frames_keep_their_place_in_the_series():
    found = BleachingEstimate.joined(parts(exclude=[3]))
    assert found.excluded == (3, 33, 63)


def test_a_joined_estimate_can_be_written_read_drawn_and_shown():
    found = BleachingEstimate.joined(parts())
    again = BleachingEstimate.from_json(found.to_json())
    assert again.summary() == found.summary()
    assert "90 of 90 frames" in repr(found)
    assert "rate[0]" in found._repr_html_()
    assert len(found.plot().axes) == 4


def test_backgrounds_of_frames_are_joined_too():
    found = BleachingEstimate.joined(parts(background=TIMES))
    assert found.background.tolist() == [*TIMES, *TIMES, *TIMES]


def test_what_cannot_be_joined_is_refused():
    with pytest.raises(ParameterError, match="at least one part"):
        BleachingEstimate.joined([])
    with pytest.raises(ParameterError, match="subtract an image"):
        BleachingEstimate.joined(parts(background=np.zeros((3, 4))))
