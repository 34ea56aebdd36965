"""Lets the style tests import tree.py and ends early where the build they look at is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import tree


@pytest.fixture(scope="session")
def build() -> Path:
    folder = tree.build_folder()
    if folder is None:
        pytest.fail("no build to look at: ./test dev, or set BARY_BUILD")
    return folder
