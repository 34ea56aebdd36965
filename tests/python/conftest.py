"""What the tests of the Python client share. BARY_BARYD names the server under test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest

import bary

matplotlib.use("agg")

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., subprocess.CompletedProcess[str]]


def baryd() -> str | None:
    """The server under test: BARY_BARYD, else a build's."""
    named = os.environ.get("BARY_BARYD")
    if named:
        return named
    for build in ("dev", "release"):
        built = ROOT / "build" / build / "rpc" / "baryd"
        if built.is_file():
            return str(built)
    return shutil.which("baryd")


@pytest.fixture(scope="session", autouse=True)
def _server_under_test() -> None:
    os.environ.pop("BARY_ADDRESS", None)
    found = baryd()
    if found is not None:
        os.environ["BARY_BARYD"] = found


@pytest.fixture(scope="session")
def server() -> str:
    """Path of a baryd, for tests that need one."""
    found = baryd()
    if found is None:
        pytest.skip("there is no baryd: build it, or set BARY_BARYD")
    return found


@pytest.fixture(scope="session")
def client(server: str) -> bary.Client:
    """A client of this process's private server."""
    return bary.connect()


@pytest.fixture
def blobs() -> np.ndarray:
    """Three well separated clusters: 300 rows, 4 columns."""
    random = np.random.default_rng(7)
    centers = np.array([[0.0, 0, 0, 0], [8, 8, 0, 0], [0, 8, 8, 8]])
    return (centers[:, None] + random.normal(size=(3, 100, 4))).reshape(300, 4)


@pytest.fixture
def python(server: str) -> Run:
    """Runs a script in a fresh Python, without this process's server."""

    def run(script: str, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        env = {k: v for k, v in os.environ.items() if k != "BARY_ADDRESS"} | environment
        return subprocess.run(
            [sys.executable, "-c", script, *args],
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run
