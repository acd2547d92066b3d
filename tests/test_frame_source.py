"""Where frames are found: images read, kept in memory, and less their backgrounds."""

import pickle

import numpy as np
import pytest

from flimage_dask import FLImage, FLSeries
from flimage_dask.lazy.frame_source import KeptBlocks

WHOLE = (slice(None), slice(None))
FRAMES = np.arange(6)


@pytest.fixture
def source(series_path):
    with FLSeries(h5file=series_path, h5mode="r") as fls:
        yield fls._source()


@pytest.fixture
def reads(source, monkeypatch):
    """Return a list of the frames that are read from the file."""
    read, asked = type(source.reader).read, []

    def note(self, index, positions, *more):
        asked.extend(positions.tolist())
        return read(self, index, positions, *more)

    monkeypatch.setattr(type(source.reader), "read", note)
    return asked


def test_a_block_that_fits_is_read_once_and_cannot_be_changed(source, reads):
    kept = source.keeping(10**6)
    first, second = kept.raw(FRAMES, WHOLE), kept.raw(FRAMES, WHOLE)
    assert reads == FRAMES.tolist()
    assert np.array_equal(first, second)
    assert not first.flags.writeable


def test_a_block_that_does_not_fit_is_read_again(source, reads):
    kept = source.keeping(5 * source.index.frames.image_bytes)
    for _ in range(2):
        kept.raw(FRAMES, WHOLE)
        kept.raw(FRAMES[:2], WHOLE)
    assert reads == [*range(6), 0, 1, *range(6)]


def test_only_whole_frames_are_kept(source, reads):
    kept = source.keeping(10**6)
    whole = kept.raw(FRAMES, WHOLE)
    turned = kept.raw(FRAMES, (slice(None, None, -1), slice(None)))
    assert np.array_equal(turned, whole[:, ::-1])
    assert np.array_equal(kept.raw(FRAMES, (slice(2, 5), slice(None))), whole[:, 2:5])
    assert len(reads) == 18


def test_blocks_of_other_frames_are_other_blocks(source):
    kept = source.keeping(10**6)
    assert not np.array_equal(kept.raw(FRAMES, WHOLE), kept.raw(FRAMES + 1, WHOLE))


def test_what_is_kept_stays_in_its_process():
    kept = KeptBlocks(10**6)
    kept.get(FRAMES, lambda: np.ones(3))
    pickled = pickle.dumps(kept)
    assert pickle.loads(pickled) is kept
    del kept
    assert pickle.loads(pickled).get(FRAMES, lambda: np.zeros(3)).sum() == 0


@pytest.mark.parametrize("kinds", [("data",), ("data", "fit")])
def test_backgrounds_add_up_in_float64_and_the_difference_is_rounded_once(kinds):
    rng = np.random.default_rng(0)
    images = rng.normal(1e4, 1e3, (4, 8, 9)).astype(np.float32)
    backgrounds = {kind: rng.normal(100, 30, (8, 9)).astype(np.float32) for kind in kinds}
    fls = FLSeries()
    for number, image in enumerate(images):
        fli = FLImage(image)
        if number != 2:
            for kind, background in backgrounds.items():
                fli._fl.set_bg(background, kind)
        fls.add_flimage(fli)
    total = sum(background.astype(float) for background in backgrounds.values())
    expected = images - np.where(np.arange(4)[:, None, None] == 2, 0.0, total)
    assert np.array_equal(fls.fl.compute(), expected.astype(np.float32))
