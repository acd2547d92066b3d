"""Fixtures that several rooms of tests share."""

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data():
    """Return the folder of real series, which lies beside the checkout and is no part of it."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real series are not here: no folder ../shared/data beside the checkout")
    return SHARED_DATA
