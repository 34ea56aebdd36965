"""What README.md and docs/ tell a reader to type does what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import wire
from server import BARYD

PAGES = [wire.ROOT / "README.md", *sorted((wire.ROOT / "docs").glob("*.md"))]
SAMPLES = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL))
]


@pytest.mark.parametrize("block", SAMPLES)
def test_a_python_sample_runs(block: str, folder: Path) -> None:
    """In a process of its own, with a private server of the binary under test."""
    environment = {k: v for k, v in os.environ.items() if k != "BARY_ADDRESS"} | {"BARY_BARYD": str(Path(BARYD).resolve())}
    ran = subprocess.run(
        [sys.executable, "-c", block], cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout


def test_the_flags_that_pages_show_exist() -> None:
    shown = {
        flag
        for page in PAGES
        for line in re.findall(r"^(?:build/release/rpc/)?baryd (--.*)$", page.read_text(), re.MULTILINE)
        for flag in re.findall(r"--[a-z-]+", line)
    }
    known = subprocess.run([BARYD, "--help"], capture_output=True, text=True, check=True).stdout
    assert shown
    assert not [flag for flag in sorted(shown) if flag not in known]
