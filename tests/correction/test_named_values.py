"""What is known by name, and stays as it is."""

import copy
import json
import pickle

import pytest

from flimage_dask.correction.named_values import NamedValues

RATES = {"amplitude": 150.0, "rate": 0.5}


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values.__setitem__("rate", 99.0),
        lambda values: values.__delitem__("rate"),
        lambda values: values.__ior__({"rate": 99.0}),
        lambda values: values.update(rate=99.0),
        lambda values: values.setdefault("offset", 1.0),
        lambda values: values.pop("rate"),
        lambda values: values.popitem(),
        lambda values: values.clear(),
    ],
    ids=["set", "del", "ior", "update", "setdefault", "pop", "popitem", "clear"],
)
def test_values_cannot_be_changed(change):
    values = NamedValues(RATES)
    with pytest.raises(TypeError, match=r"read-only.*dict\(…\)"):
        change(values)
    assert values == RATES


def test_what_they_were_made_from_can_be_changed():
    rates = dict(RATES)
    values = NamedValues(rates)
    rates["rate"] = 99.0
    assert values["rate"] == 0.5


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda values: pickle.loads(pickle.dumps(values))])
def test_a_copy_is_equal_and_cannot_be_changed_either(copied):
    values = copied(NamedValues(RATES))
    assert values == RATES
    with pytest.raises(TypeError, match="read-only"):
        values["rate"] = 99.0


def test_they_are_written_and_compared_as_a_dict():
    values = NamedValues(RATES)
    assert repr(values) == repr(RATES)
    assert json.dumps(values) == json.dumps(RATES)
    assert list(values) == list(RATES)
    assert (values == RATES, values == NamedValues(RATES), values == {}) == (True, True, False)
