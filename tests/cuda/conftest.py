"""The plug-in that nvcc built: BARY_CUDA_PLUGIN, and beside it the program that lists its kernels."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "perf" / "gpu"))


@pytest.fixture(scope="session")
def plugin() -> Path:
    named = os.environ.get("BARY_CUDA_PLUGIN")
    if not named:
        pytest.skip("BARY_CUDA_PLUGIN names no libbary_cuda.so: ./test nvcc builds one")
    return Path(named)


@pytest.fixture(scope="session")
def lister() -> str:
    return os.environ["BARY_CUDA_KERNELS"]
