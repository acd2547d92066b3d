"""What the pages show runs, block by block, and so do the examples; what they say of the tree holds."""

import ast
import re
import runpy
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
from click.testing import CliRunner

from flimage_dask.cli import main
from flimage_dask.simulate import Simulation

from .conftest import write_series_file

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SCRIPTS = sorted((ROOT / "examples").glob("*.py"))

_BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def blocks_of(page):
    """Return language, code, and the line on which each block of a page begins."""
    text = page.read_text(encoding="utf-8")
    return [(found[1], found[2], text.count("\n", 0, found.start(2))) for found in _BLOCK.finditer(text)]


def anchors_of(page):
    """Return the names under which the headings of a page can be linked."""
    headings = _HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.fixture
def reader_folder(tmp_path, monkeypatch):
    """Enter a folder that holds what the pages take for granted: a series of the reader, ``series.h5``."""
    simulation = Simulation(n_frames=40, frame_shape=(96, 112), frame_interval=2.0)
    write_series_file(tmp_path / "series.h5", simulation.frames(0, 40), simulation.times)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(page)], ids=name_of)
def test_the_blocks_of_a_page_run_in_order(page, reader_folder):
    namespace = {"__name__": "__main__"}
    for language, code, line in blocks_of(page):
        if language == "python":
            # Empty lines in front let a traceback name the line of the page.
            exec(compile("\n" * line + code, str(page), "exec"), namespace)  # noqa: S102
        else:
            run_commands(code)


def run_commands(code):
    """Run the lines of a block that call ``flimage-dask``."""
    for line in code.splitlines():
        program, *arguments = line.partition("#")[0].split() or [""]
        if program == "flimage-dask":
            result = CliRunner().invoke(main, arguments)
            assert result.exit_code == 0, f"{line}\n{result.output}"


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_an_example_runs_by_itself(script, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [script.name, str(tmp_path / "results")])
    runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out
    assert list((tmp_path / "results").iterdir())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_links_of_a_page_lead_somewhere(page):
    for link in _LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        file, _, anchor = unquote(link).partition("#")
        target = page.parent / file if file else page
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors_of(target), f"{link} names no heading of {target.name}"


def test_the_table_of_contents_names_every_page():
    contents = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    missing = [page.name for page in PAGES[1:] if page.name != "index.md" and f"({page.name})" not in contents]
    assert not missing


def rooms_of_the_design():
    """Return the modules and folders of the table of rooms, from the ground up."""
    table = (ROOT / "docs" / "design.md").read_text(encoding="utf-8").partition("## Rooms")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| \d+ \| (.+?) \|", table, re.MULTILINE)
    return [room for row in rows for room in re.findall(r"`([\w/.]+)`", row)]


def imports_of(script):
    """Return the modules of the package that a module imports, at once or later, as paths."""
    package = ROOT / "flimage_dask"
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = script.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            for path in [base / alias.name for alias in node.names] + [base]:
                if path.with_suffix(".py").exists() and path != package:
                    yield path.with_suffix(".py").relative_to(package).as_posix()


def test_modules_import_from_the_floors_below_as_the_design_says():
    rooms, package = rooms_of_the_design(), ROOT / "flimage_dask"
    modules = {path.relative_to(package).as_posix(): path for path in package.rglob("*.py")}
    inner = modules.keys() - {"__init__.py", "_version.py", "hdf5/__init__.py"}

    def floor_of(module):
        places = [place for place, room in enumerate(rooms) if module == room or f"{module.partition('/')[0]}/" == room]
        assert places, f"{module} stands nowhere in the table of rooms of design.md"
        return places[0]

    for name in inner:
        for imported in inner.intersection(imports_of(modules[name])):
            if name == "correction/estimate.py" and imported.startswith("view/"):
                continue  # The one exception that design.md names.
            assert floor_of(imported) <= floor_of(name), (
                f"{name} imports {imported}, which stands above it in design.md"
            )
