"""How the pages become a site: ``sphinx-build -W docs SITE``."""

from importlib import metadata

project = "flimage_dask"
author = "The flimage_dask developers"
copyright = author  # noqa: A001
release = metadata.version("flimage_dask")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"flimage_dask {release}"

myst_heading_anchors = 3
autodoc_typehints = "none"  # written out, aliases such as ArrayLike fill lines
autodoc_member_order = "bysource"
