"""The command of the benchmark: ``python -m tests.benchmarks --help``."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from .bench import FULL, QUICK, Bench
from .experiments import EXPERIMENTS
from .findings import Findings
from .machine import Machine
from .measure import tell
from .picture import draw
from .report import Report


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the tables."""
    options = _parser().parse_args(arguments)
    scale = QUICK if options.quick else FULL
    n_turns = options.repeats or scale.n_turns
    machine = Machine.here()
    with nullcontext(options.folder) if options.folder else TemporaryDirectory(prefix="benchmark_") as folder:
        bench = Bench(_existing(Path(folder)), scale, n_turns)
        bench.forget_corrected()
        findings = _measure(bench, options.only or list(EXPERIMENTS))
    report = Report(machine, scale.name, n_turns, findings)
    print(report.as_markdown() if options.markdown else report.as_text(), end="")
    if options.json:
        options.json.write_text(json.dumps(report.as_json(), indent=2) + "\n", encoding="utf-8")
    if options.figure:
        draw(report, options.figure)


def _measure(bench: Bench, names: Sequence[str]) -> Findings:
    findings = Findings()
    start = time.perf_counter()
    for name in EXPERIMENTS:
        if name in names:
            tell(f"{time.perf_counter() - start:5.0f} s  {name}")
            findings.add(EXPERIMENTS[name](bench))
    tell(f"{time.perf_counter() - start:5.0f} s  done")
    return findings


def _existing(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Measure flimage_dask against flimage 0.3.3, dask, zarr, h5py and the codec alone, in turns.",
    )
    parser.add_argument("--quick", action="store_true", help="small data and few turns: about a minute")
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, metavar="NAME", help=" ".join(EXPERIMENTS))
    parser.add_argument("--json", type=Path, metavar="OUT.json", help="write every turn to a file")
    parser.add_argument("--figure", type=_picture, metavar="OUT.png", help="draw the whole job; needs 'job'")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    parser.add_argument("--repeats", type=_count, metavar="N", help="number of turns")
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="keep the data here for another run; by default a temporary folder"
    )
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is no number of turns: give at least 1")
    return number


def _picture(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(f"'{text}' is no name of a picture: give it the suffix .png")
    return path


if __name__ == "__main__":
    sys.exit(main())
