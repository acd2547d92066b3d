"""What a fit may be told."""

import numpy as np
import pytest

from flimage_dask.correction.options import FitOptions
from flimage_dask.errors import ParameterError


@pytest.mark.parametrize(
    ("exclude", "expected"),
    [
        ((), ()),
        (3, (3,)),
        (slice(2, 5), (2, 3, 4)),
        ([1, 1, -1], (1, 19)),
        ([slice(0, 2), 7, slice(-2, None)], (0, 1, 7, 18, 19)),
        (np.array([4, 2]), (2, 4)),
        (np.arange(20) > 17, (18, 19)),
        ([False] * 18 + [True] * 2, (18, 19)),
        (np.int64(3), (3,)),
    ],
)
def test_frames_are_named_in_many_ways(exclude, expected):
    assert FitOptions(exclude=exclude).excluded(20) == expected


@pytest.mark.parametrize("exclude", [20, -21, [3, 99]])
def test_what_is_no_frame_is_refused(exclude):
    with pytest.raises(ParameterError, match="but the series has only 20 frames"):
        FitOptions(exclude=exclude).excluded(20)
    with pytest.raises(ParameterError, match=r"the series has only 1 frame\.$"):
        FitOptions(exclude=exclude).excluded(1)


@pytest.mark.parametrize("exclude", ["3", ["a"], [1.5], 1.5, None, [True, 3]])
def test_what_is_no_position_is_refused(exclude):
    with pytest.raises(ParameterError, match=r"exclude= names .*not a frame position"):
        FitOptions(exclude=exclude).excluded(20)


@pytest.mark.parametrize("mask", [np.zeros(3, bool), [True, False, True]])
def test_a_mask_of_another_length_is_refused(mask):
    with pytest.raises(ParameterError, match=r"\(3,\); 20 frames"):
        FitOptions(exclude=mask).excluded(20)


def test_an_unknown_model_is_refused_at_once():
    with pytest.raises(ParameterError, match="model='cubic'"):
        FitOptions(model="cubic")


def test_given_parameters_stay_those_that_were_checked():
    given = {"amplitude": 80.0, "rate": 0.7, "offset": 10.0}
    options = FitOptions(parameters=given)
    given["rate"] = -1.0
    assert options.parameters["rate"] == 0.7
    with pytest.raises(TypeError, match="read-only"):
        options.parameters["rate"] = -1.0
