"""Every kind of background and field, lazily, in estimates and corrections: right, whatever blocks and scheduler."""

import json
import pickle
import tracemalloc

import dask
import dask.array as da
import h5py
import numpy as np
import pytest
from distributed import Client, LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st

from flimage_dask import (
    BleachingEstimate,
    BleachingWarning,
    FLImage,
    FLSeries,
    FrameBackground,
    Profile,
    RollingBall,
    TimePercentile,
    to_hdf5,
)
from flimage_dask.correction.background import border_mask
from flimage_dask.errors import ParameterError, UnfinishedRunError
from flimage_dask.lazy import remembered_estimates
from flimage_dask.lazy.block_runner import BlockRunner
from flimage_dask.lazy.frame_source import FrameSource
from flimage_dask.lazy.percentile_image import known_level
from flimage_dask.running.assembly import Assembly

pytestmark = pytest.mark.filterwarnings("ignore:the correction factor reaches")

SHAPE = (24, 30)
BORDER = 4
MASK = border_mask(SHAPE, BORDER)
IMAGE = np.linspace(5, 15, 720).reshape(SHAPE)
DARK = 2 + np.random.default_rng(5).random(SHAPE)
FLAT = 100 + 40 * np.cos(np.linspace(-1, 1, 24))[:, None] * np.cos(np.linspace(-1, 1, 30))

BACKGROUNDS = {
    "constant": "constant",
    "per-frame": "per-frame",
    "number": 10.0,
    "image": IMAGE,
    "median": FrameBackground("median"),
    "mode of a mask": FrameBackground("mode", MASK),
    "percentile of the frame": FrameBackground("percentile-20", "frame"),
    "offset": Profile("offset", "mode"),
    "tilt": Profile("tilt"),
    "poly2o": Profile("poly2o", region=MASK),
    "rolling ball": RollingBall(12),
    "over time": TimePercentile(10),
}


@pytest.fixture(params=BACKGROUNDS)
def background(request):
    if request.param == "rolling ball":
        pytest.importorskip("skimage", reason="scikit-image is not installed (the extra 'denoise')")
    return BACKGROUNDS[request.param]


@pytest.fixture
def fls(series_path):
    with FLSeries(h5file=series_path, h5mode="r") as series:
        yield series


@pytest.fixture(params=["no background stored", "a background stored"])
def fls_of_either_kind(request, series_path):
    if request.param == "a background stored":
        with FLSeries(h5file=series_path, h5mode="a") as series:
            series.set_bg_data(np.linspace(0, 5, 720).reshape(SHAPE))
    with FLSeries(h5file=series_path, h5mode="r") as series:
        yield series


def expected_backgrounds(frames, background):
    """Find the background of each frame one by one, as plainly as possible."""
    if isinstance(background, Profile):
        y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
        terms = {"offset": [y**0], "tilt": [y**0, y, x], "poly2o": [y**0, y, x, x * y, y**2, x**2]}[background.kind]
        design = np.stack(terms, axis=-1)
        images = [design @ np.linalg.lstsq(design[MASK], frame[MASK], rcond=None)[0] for frame in frames]
        if background.offset == "mode":
            qpimage = pytest.importorskip("qpimage.bg_estimate", reason="qpimage is not installed")
            images = [image + qpimage.offset_mode((f - image)[MASK]) for f, image in zip(frames, images, strict=True)]
        return np.stack(images)
    if isinstance(background, RollingBall):
        from skimage.restoration import rolling_ball

        return np.stack([rolling_ball(frame, radius=background.radius) for frame in frames])
    if isinstance(background, TimePercentile):
        return np.percentile(frames, background.percent, axis=0)
    if isinstance(background, FrameBackground):
        pixels = frames.reshape(len(frames), -1) if isinstance(background.region, str) else frames[:, MASK]
        if background.statistic == "median":
            return np.median(frames[:, MASK], axis=1)[:, None, None]
        if background.statistic == "percentile-20":
            return np.percentile(pixels, 20, axis=1)[:, None, None]
        qpimage = pytest.importorskip("qpimage.bg_estimate", reason="qpimage is not installed")
        return np.array([qpimage.offset_mode(values) for values in pixels])[:, None, None]
    if isinstance(background, str):
        means = frames[:, MASK].mean(axis=1)
        return means.mean() if background == "constant" else means[:, None, None]
    return background


def flattened(frames):
    light = FLAT - DARK
    return (frames - DARK) / (light / light.mean())


@pytest.mark.parametrize("fields", [{}, {"dark": DARK, "flat": FLAT}], ids=["plain", "fields"])
def test_every_background_is_that_of_a_plain_loop(fls, background, fields):
    frames = fls.raw_fl.compute().astype(float)
    if fields:
        frames = flattened(frames)
    expected = frames - expected_backgrounds(frames, background)
    found = fls.background_corrected(background, BORDER, **fields)
    assert (found.shape, found.dtype) == (fls.shape, np.float32)
    # A histogram may put a value that was rounded to float32 into the next bin.
    atol = 1e-4 if "mode" not in str(background) or not fields else 2.0
    assert np.allclose(found.compute(), expected, rtol=1e-6, atol=atol)


def test_a_part_of_a_prepared_frame_is_a_part_of_the_whole(fls):
    fl = fls.background_corrected(Profile("poly2o"), BORDER, flat=FLAT)
    whole = fl.compute()
    assert np.array_equal(fl[3, 5:9, ::2].compute(), whole[3, 5:9, ::2])
    assert np.array_equal(fl[::-3, 7].compute(), whole[::-3, 7])


def test_the_correction_of_bleaching_sees_prepared_frames(fls_of_either_kind, tmp_path, background):
    fls = fls_of_either_kind
    options = {"border_px": BORDER, "background": background, "dark": DARK, "flat": FLAT}
    estimate = fls.estimate_bleaching(**options)
    fls.bleach_correction(tmp_path / "out.h5", **options)
    lazy = fls.bleach_corrected(**options)
    with FLSeries(h5file=tmp_path / "out.h5", h5mode="r") as out:
        assert np.array_equal(out.raw_fl.compute(), lazy.compute())
    prepared = fls.background_corrected(background, BORDER, dark=DARK, flat=FLAT).compute().astype(float)
    assert np.allclose(estimate.trace, np.maximum(prepared, 0).sum(axis=(1, 2)), rtol=1e-6)
    assert np.allclose(lazy.compute(), prepared * estimate.factors[:, None, None], rtol=1e-5, atol=1e-4)
    assert estimate.prepared.startswith("dark field and flat field")


def test_intensities_are_those_above_any_background(fls, background):
    prepared = fls.background_corrected(background, BORDER).compute().astype(float)
    found = fls.intensities("mean", background=background, border_px=BORDER)
    assert np.allclose(found, prepared.mean(axis=(1, 2)), rtol=1e-5, atol=1e-5)


def corrected_with(path, background, **config):
    with FLSeries(h5file=path, h5mode="r") as fls, dask.config.set(config):
        estimate = fls.estimate_bleaching(BORDER, background=background, flat=FLAT)
        return (
            estimate.trace,
            fls.background_corrected(background, BORDER, flat=FLAT).compute(),
            fls.bleach_corrected(BORDER, background=background, flat=FLAT).compute(),
        )


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
@pytest.mark.parametrize("frames_in_block", [1, 5, 100])
def test_values_do_not_depend_on_scheduler_or_blocks(series_path, background, scheduler, frames_in_block):
    expected = corrected_with(series_path, background, scheduler="sync")
    remembered_estimates.forget()
    chunk_size = frames_in_block * 24 * 30 * 4
    found = corrected_with(
        series_path, background, scheduler=scheduler, num_workers=2, **{"array.chunk-size": chunk_size}
    )
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.filterwarnings("ignore::flimage_dask.SchedulerWarning")
@pytest.mark.parametrize("name", ["poly2o", "mode of a mask", "over time"])
def test_other_processes_find_the_same_values(series_path, name):
    expected = corrected_with(series_path, BACKGROUNDS[name], scheduler="sync")
    remembered_estimates.forget()
    found = corrected_with(series_path, BACKGROUNDS[name], scheduler="processes", num_workers=2)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(7, 40), st.integers(7, 40)),
    n_block=st.integers(1, 9),
    name=st.sampled_from(["median", "offset", "tilt", "poly2o", "over time"]),
    seed=st.integers(0, 99),
)
@settings(max_examples=25)
def test_blocks_of_frames_of_any_shape_do_not_change_a_bit(shape, n_block, name, seed):
    rng = np.random.default_rng(seed)
    frames = rng.normal(1000, 100, shape).astype(np.float32)
    frames[rng.random(shape) < 0.02] = np.nan
    background = BACKGROUNDS[name] if name != "poly2o" else Profile("poly2o", region="frame")
    with FLSeries([FLImage(frame) for frame in frames]) as fls:
        expected = fls.background_corrected(background, 2).compute(scheduler="sync")
        with dask.config.set({"array.chunk-size": n_block * frames[0].nbytes}):
            found = fls.background_corrected(background, 2)
            assert found.numblocks[0] == -(-shape[0] // n_block)
            assert np.array_equal(found.compute(), expected, equal_nan=True)


def test_what_is_subtracted_is_part_of_the_name_of_an_array(fls):
    def names():
        yield fls.fl.name
        for background in BACKGROUNDS.values():
            if not isinstance(background, str | TimePercentile):
                yield fls.bleach_corrected(BORDER, background=background).name
        for options in ({"dark": 1.0}, {"dark": 2.0}, {"dark": DARK}, {"flat": FLAT}, {"flat": FLAT + 1}):
            yield fls.background_corrected(0.0, **options).name
        yield fls.background_corrected(Profile("tilt"), BORDER).name
        yield fls.background_corrected(Profile("tilt"), BORDER + 1).name

    first, second = list(names()), list(names())
    assert first == second
    assert len(set(first)) == len(first)


def test_arrays_with_a_background_survive_pickling(series_path):
    with FLSeries(h5file=series_path, h5mode="r") as fls:
        lazy = fls.bleach_corrected(BORDER, background=Profile("poly2o"), flat=FLAT, dark=3)
        expected = lazy.compute()
        pickled = pickle.dumps(lazy)
    assert np.array_equal(pickle.loads(pickled).compute(), expected)


def test_a_background_that_decays_is_right_frame_by_frame_and_wrong_as_one_number():
    """A medium that bleaches in 8 s below cells that bleach in 40 s: one number makes the factor twice as large."""
    rng = np.random.default_rng(0)
    times = np.arange(60.0)
    medium, cells = 40 * np.exp(-times / 8) + 20, 100 * np.exp(-times / 40)
    y, x = np.mgrid[:48, :64]
    cell = np.clip(1.2 - np.hypot(y - 24, x - 32) / 14, 0, 1)
    tilt = 1 + 0.004 * (x - 32)
    frames = rng.poisson(medium[:, None, None] * tilt + cells[:, None, None] * cell).astype(np.float32)
    truth = cells[0] / cells[-1]
    with FLSeries([FLImage(frame, {"time": t}) for frame, t in zip(frames, times, strict=True)]) as fls:

        def last_factor(background):
            options = {"trace": "mean", "mask": cell > 0.3}
            return fls.estimate_bleaching(8, background=background, **options).factors[-1] / truth

        assert last_factor("constant") > 1.9
        for background in ("per-frame", FrameBackground("median"), Profile("offset"), Profile("tilt")):
            assert abs(last_factor(background) - 1) < 0.02


def test_a_flat_field_gives_pixels_that_are_lit_alike_the_same_counts(tmp_path):
    lamp = 1.3 - np.hypot(*np.mgrid[-1:1:24j, -1:1:30j]) / 2
    light = 50 * np.exp(-np.arange(9) / 4) + 10
    dark, flat = 100 + 3 * np.sin(np.arange(30)), 5000 * lamp
    frames = dark + light[:, None, None] * lamp
    with FLSeries([FLImage(frame, {"time": t}, h5dtype="float64") for t, frame in enumerate(frames)]) as fls:
        dark_image = np.broadcast_to(dark, SHAPE)
        found = fls.background_corrected(0.0, dark=dark_image, flat=flat + dark_image).compute()
        assert np.allclose(found, light[:, None, None] * lamp.mean(), rtol=1e-12)
        estimate = fls.estimate_bleaching(background=0.0, dark=dark_image, flat=flat + dark_image, trace="mean")
        assert estimate.factors[-1] == pytest.approx(light[0] / light[-1], rel=1e-6)


def test_an_image_over_time_is_made_in_strips_of_rows_in_bounded_memory(fls, monkeypatch):
    asked = []
    real = TimePercentile.image
    monkeypatch.setattr(TimePercentile, "image", lambda self, stack: asked.append(stack.shape) or real(self, stack))
    whole = fls.background_corrected(TimePercentile(10, 5)).compute()
    runner = BlockRunner(stack_bytes=5 * 30 * 4 * 7)
    source = fls._source()
    image = known_level(source, TimePercentile(10, 5), runner)
    assert asked == [(5, 24, 30), (5, 7, 30), (5, 7, 30), (5, 7, 30), (5, 3, 30)]
    assert np.array_equal((fls.raw_fl - image).astype(np.float32).compute(), whole)
    sample = fls.raw_fl.compute()[[0, 3, 6, 8, 11]]
    assert np.allclose(image, np.percentile(sample, 10, axis=0))


def test_an_estimate_of_prepared_frames_is_applied_to_frames_prepared_alike(fls, tmp_path):
    options = {"background": Profile("tilt"), "flat": FLAT}
    estimate = BleachingEstimate.from_json(fls.estimate_bleaching(BORDER, **options).to_json())
    assert estimate.prepared == f"flat field, tilt profile, border of {BORDER} px"
    found = fls.bleach_corrected(BORDER, estimate=estimate, **options).compute()
    assert np.array_equal(found, fls.bleach_corrected(BORDER, **options).compute())
    fls.bleach_correction(tmp_path / "out.h5", BORDER, estimate=estimate, **options)
    with FLSeries(h5file=tmp_path / "out.h5", h5mode="r") as out:
        assert np.array_equal(out.raw_fl.compute(), found)
    for wrong in ({}, {"flat": FLAT}, {"background": Profile("tilt")}, {"background": "constant", "flat": FLAT}):
        with pytest.raises(ParameterError, match=r"prepared with flat field, tilt profile.*give the same background="):
            fls.bleach_corrected(BORDER, estimate=estimate, **wrong)


def test_frames_that_are_corrected_instead_are_prepared_too(fls, tmp_path):
    to_hdf5(fls.fl * 2, tmp_path / "double.h5", like=fls)
    options = {"border_px": BORDER, "background": Profile("tilt"), "flat": FLAT}
    with FLSeries(h5file=tmp_path / "double.h5", h5mode="r") as double:
        fls.bleach_correction(tmp_path / "out.h5", flscorr=double, **options)
    with FLSeries(h5file=tmp_path / "out.h5", h5mode="r") as out:
        expected = 2 * fls.bleach_corrected(**options)
        assert np.allclose(out.raw_fl.compute(), expected.compute(), rtol=1e-5, atol=1e-3)


def test_prepared_frames_that_fit_into_memory_are_prepared_once(fls, tmp_path, monkeypatch):
    prepared = []
    real = FrameSource._prepared
    monkeypatch.setattr(FrameSource, "_prepared", lambda *args: prepared.extend(args[1].tolist()) or real(*args))
    fls.bleach_correction(tmp_path / "out.h5", BORDER, background=Profile("poly2o"))
    assert sorted(prepared) == list(range(12))


def test_the_output_names_the_background_and_the_fields(fls, tmp_path, background):
    fls.bleach_correction(tmp_path / "out.h5", BORDER, background=background, dark=1.0)
    with h5py.File(tmp_path / "out.h5") as file:
        told = json.loads(file.attrs["flimage_dask"])["parameters"]
    assert told["fields"] == "dark field"
    kinds = {
        FrameBackground: "of each frame",
        Profile: "profile",
        RollingBall: "rolling ball of 12 px",
        TimePercentile: "percentile 10 of each pixel over time",
    }
    if type(background) in kinds:
        assert kinds[type(background)] in told["background"]
    elif isinstance(background, str | float):
        assert told["background"] == background
    else:
        assert told["background"] == f"image of shape {IMAGE.shape}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"background": "tilt"}, "background='tilt'.*Profile"),
        ({"background": {"tilt"}}, "neither a number nor an image"),
        ({"background": Profile("tilt", region=np.ones((5, 5), bool))}, r"region= has shape \(5, 5\)"),
        ({"background": FrameBackground("mean"), "border_px": 12}, "from 1 to 11"),
        ({"dark": np.zeros((5, 5))}, r"dark= has shape \(5, 5\); the frames have \(24, 30\)"),
        ({"flat": 3.0}, "flat="),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_before_anything_is_read(fls, tmp_path, monkeypatch, options, message):
    monkeypatch.setattr("flimage_dask.lazy.remembered_estimates.estimate", lambda *args: pytest.fail("estimated"))
    for call in (
        fls.bleach_corrected,
        fls.estimate_bleaching,
        fls.background_corrected,
        lambda **how: fls.background_correction(tmp_path / "out.h5", **how),
        lambda **how: fls.bleach_correction(tmp_path / "out.h5", **how),
    ):
        with pytest.raises(ParameterError, match=message):
            call(**options)
    assert not list(tmp_path.glob("*out*"))


def test_the_real_mitochondria_bleach_alike_above_any_background_of_their_border(mito_path):
    with FLSeries(h5file=mito_path, h5mode="r") as fls:
        part = fls[::6]
        found = {
            name: part.estimate_bleaching(trace="mean", background=background).trace
            for name, background in (("per-frame", "per-frame"), ("offset", Profile("offset")))
        }
        flat = part.background_corrected(Profile("poly2o")).compute()
    assert np.allclose(found["per-frame"], found["offset"], rtol=1e-5)
    assert abs(flat[:, border_mask(flat.shape[1:], 20)].mean()) < 1e-5


def test_the_real_mitochondria_need_a_background_for_each_frame(mito_path):
    each = ["per-frame", FrameBackground("median"), FrameBackground("percentile-10", "frame")]
    with FLSeries(h5file=mito_path, h5mode="r") as fls:
        bright = fls[0].fl > np.percentile(fls[0].fl, 90)
        factors = [fls.estimate_bleaching(background=found, model="auto").largest_factor for found in each]
        with pytest.warns(BleachingWarning, match="the correction factor reaches 2.313e"):
            hopeless = fls.estimate_bleaching(background="constant", trace="mean", mask=bright, model="auto")
        darkest = fls.intensities(background="per-frame", labels=bright).min()
        of_one = fls.estimate_bleaching(background="constant", model="auto").largest_factor
    assert hopeless.largest_factor > 1e4
    assert darkest > 0
    assert max(factors) < 1.1 * min(factors) < 0.7 * of_one


def test_a_frame_whose_background_is_unknown_is_named(bleaching_frames):
    frames, times = bleaching_frames
    frames = frames.copy()
    frames[4, :BORDER], frames[4, -BORDER:], frames[4, :, :BORDER], frames[4, :, -BORDER:] = 4 * [np.nan]
    fls = FLSeries([FLImage(frame, {"time": time}) for frame, time in zip(frames, times, strict=True)])
    with pytest.warns(BleachingWarning, match="background of 1 frame is unknown, first of frame 4: .* another region="):
        found = fls.estimate_bleaching(BORDER, background="per-frame")
    assert found.left_out == (4,)


# --- Written beside the frames.

IMAGES = ["image", "offset", "tilt", "poly2o", "rolling ball", "over time"]


@pytest.mark.parametrize("fields", [{}, {"dark": DARK, "flat": FLAT}], ids=["plain", "fields"])
def test_what_is_written_is_what_is_computed_for_flimage_too(flimage, fls, tmp_path, background, fields):
    fls.background_correction(tmp_path / "out.h5", BORDER, background=background, **fields)
    expected = fls.background_corrected(background, BORDER, **fields).compute()
    with flimage.FLSeries(h5file=tmp_path / "out.h5", h5mode="r") as theirs:
        assert len(theirs) == 12
        found = np.stack([fli.fl for fli in theirs])
        raw = np.stack([fli.raw_fl for fli in theirs])
        bg = np.stack([fli.bg_fl for fli in theirs])
    assert np.array_equal(found, raw - bg)
    # The stored background is rounded to float32.
    assert np.allclose(found, expected, rtol=0, atol=np.finfo("f4").eps * np.abs(raw).max())
    with FLSeries(h5file=tmp_path / "out.h5", h5mode="r") as ours:
        assert np.allclose(ours.fl.compute(), found, rtol=1e-7, atol=0)
        assert ours.meta["time"] == fls.meta["time"]


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_stands_beside_frames_that_stay_as_they_are(fls, tmp_path, name):
    fls.background_correction(tmp_path / "out.h5", BORDER, background=BACKGROUNDS[name])
    kind = "data" if name in ("image", "over time") else "fit"
    with h5py.File(tmp_path / "out.h5") as file:
        images = [file[f"fli_{k}/fluorescence/bg_data/{kind}"] for k in range(12)]
        assert all(list(file[f"fli_{k}/fluorescence/bg_data"]) == [kind] for k in range(12))
        assert all((image.chunks, image.fletcher32, image.dtype) == (SHAPE, True, np.float32) for image in images)
        assert len({h5py.h5o.get_info(image.id).addr for image in images}) == (1 if kind == "data" else 12)
        told = dict(images[7].attrs)
        raw = np.stack([file[f"fli_{k}/fluorescence/raw"][()] for k in range(12)])
    assert np.array_equal(raw, fls.raw_fl.compute())
    assert told["CLASS"] == b"IMAGE"
    assert told.get("fit_profile", name) in (name, "rolling ball")


def test_numbers_are_subtracted_and_leave_no_image(fls, tmp_path):
    fls.background_correction(tmp_path / "out.h5", BORDER, background=FrameBackground("median"))
    with h5py.File(tmp_path / "out.h5") as file:
        assert not list(file["fli_3/fluorescence/bg_data"])
        raw = file["fli_3/fluorescence/raw"][()]
    assert np.median(raw[MASK]) == 0


@pytest.mark.parametrize("name", ["poly2o", "over time"])
def test_blocks_and_threads_do_not_change_what_is_written(fls, tmp_path, name):
    for path, n_frames, n_threads in (("a.h5", 1, 1), ("b.h5", 5, 3)):
        with dask.config.set({"array.chunk-size": n_frames * 24 * 30 * 4, "num_workers": n_threads}):
            fls.background_correction(tmp_path / path, BORDER, background=BACKGROUNDS[name])
    with FLSeries(h5file=tmp_path / "a.h5", h5mode="r") as a, FLSeries(h5file=tmp_path / "b.h5", h5mode="r") as b:
        assert np.array_equal(a.bg_fl.compute(), b.bg_fl.compute())
        assert np.array_equal(a.fl.compute(), b.fl.compute())


def test_a_background_is_written_into_memory_too(fls):
    for name in ("tilt", "image"):
        with h5py.File(f"{name}.h5", "w", driver="core", backing_store=False) as file:
            fls.background_correction(file, BORDER, background=BACKGROUNDS[name])
            expected = fls.background_corrected(BACKGROUNDS[name], BORDER).compute()
            with FLSeries(h5file=file) as out:
                assert np.allclose(out.fl.compute(), expected, atol=1e-4)


def test_an_image_computed_alone_has_the_background_of_its_series(fls, tmp_path):
    fls.background_correction(tmp_path / "out.h5", BORDER, background=Profile("poly2o", "mode"))
    with FLSeries(h5file=tmp_path / "out.h5", h5mode="r") as out:
        fli = FLImage(fls[5].raw_fl)
        fli.compute_bg("mode", "poly2o", border_px=BORDER)
        assert np.allclose(out[5].bg_fl, fli.bg_fl, rtol=1e-6)
        assert dict(out[5].info)["fluorescence background fit_profile"] == "poly2o"


@pytest.mark.parametrize("name", ["poly2o", "over time", "median"])
def test_a_run_in_parts_keeps_each_frame_with_its_background(fls, tmp_path, name):
    options = {"border_px": BORDER, "background": BACKGROUNDS[name], "flat": FLAT}
    fls.background_correction(tmp_path / "whole.h5", **options)
    fls.background_correction(tmp_path / "parts.h5", resume=True, **options)
    assert_alike(tmp_path / "whole.h5", tmp_path / "parts.h5")


def test_the_blocks_of_one_background_do_not_go_into_the_output_of_another(fls, tmp_path, monkeypatch):
    def fail_late(*arguments):
        raise OSError("the disk is full")

    out = tmp_path / "out.h5"
    with monkeypatch.context() as patch:
        patch.setattr(Assembly, "_store", fail_late)
        with pytest.raises(OSError, match="the disk is full"):
            fls.background_correction(out, BORDER, background=Profile("tilt"), resume=True)
    with pytest.raises(UnfinishedRunError, match="background differ"):
        fls.background_correction(out, BORDER, background=Profile("poly2o"), resume=True)
    fls.background_correction(out, BORDER, background=Profile("tilt"), resume=True)
    fls.background_correction(tmp_path / "whole.h5", BORDER, background=Profile("tilt"))
    assert_alike(tmp_path / "whole.h5", out)


def test_the_workers_of_a_cluster_find_the_same_backgrounds(fls, tmp_path):
    names = ("poly2o", "over time")
    for name in names:
        fls.background_correction(tmp_path / f"{name}.h5", BORDER, background=BACKGROUNDS[name])
    cluster = LocalCluster(n_workers=1, threads_per_worker=2, processes=True, dashboard_address="127.0.0.1:0")
    with cluster, Client(cluster):
        for name in names:
            fls.background_correction(tmp_path / f"{name} of a cluster.h5", BORDER, background=BACKGROUNDS[name])
    for name in names:
        assert_alike(tmp_path / f"{name}.h5", tmp_path / f"{name} of a cluster.h5")


def assert_alike(path, other):
    """Check that two series have the same frames and backgrounds."""
    with FLSeries(h5file=path, h5mode="r") as a, FLSeries(h5file=other, h5mode="r") as b:
        assert np.array_equal(a.raw_fl.compute(), b.raw_fl.compute())
        assert np.array_equal(a.bg_fl.compute(), b.bg_fl.compute())
        assert (a.meta, a.identifier) == (b.meta, b.identifier)


# --- Memory.


def peak_of(run):
    """Return the most memory that numpy held during a run [bytes]."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("background", [Profile("poly2o"), TimePercentile(5, 32)], ids=["poly2o", "over time"])
def test_a_series_is_never_in_memory_as_a_whole(tmp_path, background):
    frames = da.random.default_rng(0).random((800, 96, 128), chunks=(50, -1, -1))
    to_hdf5(frames, tmp_path / "long.h5", progress=False)
    options = {"background": background, "memory": "30 MiB", "progress": False}
    with (
        FLSeries(h5file=tmp_path / "long.h5", h5mode="r") as fls,
        dask.config.set({"array.chunk-size": "256 KiB", "num_workers": 2}),
    ):
        peak = peak_of(lambda: fls.background_correction(tmp_path / "out.h5", BORDER, **options))
        assert peak < fls.raw_fl.nbytes / 5
