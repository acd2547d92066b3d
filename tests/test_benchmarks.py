"""The benchmark's arithmetic, on made-up figures, and its systems, on a tiny series. Nothing is timed."""

import json
import logging
import re
from pathlib import Path

import h5py
import numpy as np
import pytest

from .benchmarks import data
from .benchmarks.agreement import largest_difference, same_bits
from .benchmarks.findings import Findings, Rate, Value
from .benchmarks.goals import GOALS, Goal
from .benchmarks.machine import Machine
from .benchmarks.measure import Turns, alias, in_turns
from .benchmarks.method_pictures import PICTURES
from .benchmarks.peers import CODEC, FLIMAGE, OURS, dask_script, h5py_loop, ours
from .benchmarks.peers.codec import Codec, CodecAlone
from .benchmarks.picture import draw
from .benchmarks.report import Report, short

MACHINE = Machine("a processor", 2, "Linux", {"python": "3.12"}, "2026-01-01", load=0.1)
JOB = "Whole job, 10 frames of 512 x 512"


@pytest.fixture(autouse=True)
def _nobody_waits_for_the_disk(monkeypatch):
    monkeypatch.delattr("os.sync", raising=False)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return data.write(data.Recipe("float", 64, 8), tmp_path_factory.mktemp("tiny") / "series.h5")


@pytest.fixture
def report():
    rates = [
        Rate(JOB, kind, system, 200_000_000, Turns(seconds), "a remark")
        for kind in data.KINDS
        for system, seconds in {OURS: (1.0, 2.0, 1.5), FLIMAGE: (40.0, 50.0, 45.0), CODEC: (0.5, 0.5, 0.5)}.items()
    ]
    return Report(MACHINE, "full", 3, Findings(rates, {"job.integer.flimage": Value(Turns((60.0, 40.0, 55.0)), "few")}))


def goal(key):
    return next(goal for goal in GOALS if goal.key == key)


def test_ratios_are_taken_within_a_turn():
    # Of the medians it would be 2: in each turn the machine was as slow for the one as for the other.
    assert Turns((4.0, 8.0, 12.0)).over(Turns((1.0, 2.0, 6.0))).median == 4.0


def test_a_rate_counts_uncompressed_megabytes():
    rate = Rate(JOB, "float", OURS, 50_000_000, Turns((0.5, 2.0, 1.0)))
    speed = rate.megabytes_per_second
    assert (speed.low, speed.median, speed.high) == (25.0, 50.0, 100.0)


@pytest.mark.parametrize(
    ("relation", "figures", "verdict"),
    [
        (">=", (2.0, 9.0, 3.0), "met"),
        (">=", (2.0, 9.0, 2.9), "missed"),
        ("<=", (3.0, 3.0, 9.0), "met"),
        ("<=", (3.1, 1.0, 9.0), "missed"),
    ],
)
def test_the_median_of_a_figure_decides_whether_a_goal_is_met(relation, figures, verdict):
    made_up = Goal("figure", "a figure", relation, 3.0)
    assert made_up.verdict(Findings(values={"figure": Value(Turns(figures))})) == verdict


def test_a_figure_that_was_not_measured_meets_no_goal():
    assert goal("size.float").verdict(Findings()) == "not measured"


def test_goals_have_names_of_their_own():
    keys, texts = [goal.key for goal in GOALS], [goal.text for goal in GOALS]
    assert len(set(keys)) == len(set(texts)) == len(GOALS)


def test_systems_are_timed_in_turns(tmp_path):
    calls = []
    jobs = {name: lambda scratch, name=name: lambda: calls.append((name, scratch)) for name in "ABC"}
    seconds = in_turns(jobs, 3, tmp_path)
    assert [name for name, _ in calls] == list("ABCABCABC")
    assert len({folder for _, folder in calls}) == 9
    assert [len(turns.values) for turns in seconds.values()] == [3, 3, 3]
    assert not list(tmp_path.iterdir())


def test_a_report_says_which_goals_are_met(report):
    line = next(line for line in report.as_text().splitlines() if goal("job.integer.flimage").text in line)
    assert "≥ 50x" in line
    assert "55.0x (40.0 to 60.0)" in line
    assert line.split()[-2:] == ["met", "few"]
    assert f"1 of {len(GOALS)} goals met, 0 missed, {len(GOALS) - 1} not measured" in report.as_text()


def test_the_tables_of_a_page_have_a_cell_for_every_column(report):
    rows = [line for line in report.as_markdown().splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} == {5, 6}
    assert f"| {OURS} | 133 (100 to 200) | 133 (100 to 200) | a remark |" in rows


def test_a_report_as_json_keeps_every_turn(report):
    written = json.loads(json.dumps(report.as_json()))
    assert written["rates"][0]["seconds"] == [1.0, 2.0, 1.5]
    found = {goal["key"]: goal for goal in written["goals"]}
    assert found["job.integer.flimage"]["measured"]["turns"] == [60.0, 40.0, 55.0]
    assert found["size.float"]["measured"] is None


def test_a_report_is_drawn(report, tmp_path):
    draw(report, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("number", "text"),
    [(1234.5, "1,234"), (99.94, "99.9"), (1.234, "1.23"), (0.256, "0.26"), (0.0123, "0.0123"), (0, "0")],
)
def test_numbers_are_written_with_the_digits_that_matter(number, text):
    assert short(number) == text


def test_ours_remembers_nothing_of_an_earlier_turn(tiny, tmp_path, caplog):
    with caplog.at_level(logging.DEBUG, logger="flimage_dask.lazy.tracing"):
        in_turns({OURS: lambda scratch: lambda: ours.estimate(alias(tiny, scratch))}, 3, tmp_path)
    assert sum("read each frame" in record.message for record in caplog.records) == 3


def test_the_codec_of_an_output_is_found_by_its_bytes(tiny, tmp_path):
    ours.correct(tiny, tmp_path / "ours.h5")
    codec = Codec.of(tmp_path / "ours.h5")
    with h5py.File(tmp_path / "ours.h5") as file:
        assert codec.shuffle == file["fli_0/fluorescence/raw"].shuffle
    assert "nearest" not in codec.name
    CodecAlone(tiny, tmp_path / "ours.h5").both()


def test_a_series_agrees_with_itself_and_differs_by_a_step_from_its_neighbour(tmp_path):
    paths = [tmp_path / "one.h5", tmp_path / "next.h5"]
    for path, pixel in zip(paths, (1.5, np.nextafter(np.float32(1.5), np.float32(2.0))), strict=True):
        with h5py.File(path, "w") as file:
            file["fli_0/fluorescence/raw"] = np.full((4, 4), pixel, np.float32)
    assert largest_difference(paths[0], paths[0]) == 0
    assert largest_difference(*paths) == 1
    assert same_bits(paths[0], paths[0])
    assert not same_bits(*paths)


def test_dask_and_h5py_make_the_same_values(tiny, tmp_path):
    expected = corrected_by(ours, tiny, tmp_path)
    for peer in (dask_script, h5py_loop):
        np.testing.assert_array_max_ulp(corrected_by(peer, tiny, tmp_path), expected, maxulp=1)


def test_zarr_makes_the_same_values(tiny, tmp_path):
    zarr = pytest.importorskip("zarr", reason="zarr 3 is not installed (the extra 'benchmark')")
    from .benchmarks.peers import zarr_dask

    zarr_dask.correct(zarr_dask.convert(tiny, tmp_path / "input.zarr"), tmp_path / "output.zarr")
    found = zarr.open_array(tmp_path / "output.zarr", mode="r")[...]
    np.testing.assert_array_max_ulp(found, corrected_by(ours, tiny, tmp_path), maxulp=1)


def test_flimage_makes_the_same_values(tiny, tmp_path):
    pytest.importorskip("flimage", reason="flimage 0.3.3 is not installed (the extra 'test')", exc_type=ImportError)
    from .benchmarks.peers import flimage_itself

    ours.correct(tiny, tmp_path / "ours.h5")
    flimage_itself.correct(tiny, tmp_path / "flimage.h5")
    assert largest_difference(tmp_path / "ours.h5", tmp_path / "flimage.h5") <= 1


def corrected_by(peer, series, folder):
    """Return the frames that a system makes of a series."""
    output = folder / f"{peer.__name__}.h5"
    peer.correct(series, output)
    return np.stack(list(data.frames_of(output)))


def test_the_methods_page_shows_every_picture_that_is_drawn_for_it():
    page = (Path(__file__).resolve().parents[1] / "docs" / "methods.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"images/methods_(\w+)\.png", page)) == sorted(PICTURES)


def test_a_picture_of_the_methods_page_is_drawn():
    figure = PICTURES["noise"]()
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "mean",
        "variance / mean",
        "mean / standard deviation",
    ]
