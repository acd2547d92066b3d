"""What an estimate is: one value that nobody changes."""

import pickle

import numpy as np
import pytest

from flimage_dask.correction.bleaching import BleachingEstimate, FitOptions, estimate_bleaching

TIMES = np.arange(60.0)
DECAY = 100 * np.exp(-TIMES / 15) + 20 + np.random.default_rng(0).normal(0, 1, 60)


def made(**fit):
    return estimate_bleaching(TIMES, DECAY, background=1.0, fit=FitOptions(**fit))


@pytest.mark.parametrize("name", ["parameters", "standard_errors", "units", "aicc"])
def test_what_is_known_by_name_cannot_be_changed(name):
    found = made(model="auto")
    text, told = found.to_json(), repr(found)
    for estimate in (found, pickle.loads(pickle.dumps(found)), BleachingEstimate.from_json(text)):
        values = getattr(estimate, name)
        with pytest.raises(TypeError, match="read-only"):
            values[next(iter(values))] = 99
        assert values == dict(getattr(found, name))
        assert (estimate.to_json(), repr(estimate)) == (text, told)


def test_the_interval_of_the_largest_factor_is_one_of_those_of_all_factors():
    found = made()
    low, high = found.factor_interval
    assert found.largest_factor == found.factors[-1]
    assert found.largest_factor_interval == (low[-1], high[-1])
