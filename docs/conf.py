"""Sphinx configuration."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

# For docs.extensions.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

project = "flask_sse_push"
author = "flask_sse_push contributors"
copyright = "flask_sse_push contributors"
version = release = installed_version("flask_sse_push")

extensions = [
    "sphinx.ext.autodoc",
    # For the directives testsetup and testcode; tests/docs/test_docs.py runs them.
    "sphinx.ext.doctest",
    "docs.extensions.event_fields",
    "docs.extensions.house",
]
exclude_patterns = ["_build"]
nitpicky = False

html_theme = "furo"
html_title = f"flask_sse_push {version}"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["tables.css"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
