"""docs/examples/grpc_fit.py does what its first lines say, with stubs made as they say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs/examples/grpc_fit.py"


def run(folder: Path, address: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, EXAMPLE, address],
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stubs")
    protos = sorted(path.relative_to(ROOT) for path in (ROOT / "proto/bary/v1").glob("*.proto"))
    command = ["-m", "grpc_tools.protoc", "-I", "proto", "--python_out", folder, "--grpc_python_out", folder, *protos]
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True, timeout=120)
    return folder


def test_the_walkthrough_uploads_fits_watches_and_predicts(start: object, stubs: Path) -> None:
    server = start()
    done = run(stubs, server.tcp)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("namespaces/default/models/walkthrough/versions/1: inertia "), done.stdout
    assert "sizes [24909, 25048, 25036, 25007]" in done.stdout
    assert "succeeded  100%" in done.stderr
    server.must_be_clean()


def test_the_walkthrough_says_why_it_was_refused(start: object, stubs: Path) -> None:
    server = start("--limits-objects", "1")
    sentence = "QUOTA_OBJECTS: the namespace holds 1 datasets and models, its limit"
    job, call = run(stubs, server.tcp), run(stubs, server.tcp)  # the first leaves its rows behind
    assert (job.returncode, call.returncode) == (1, 1)
    assert job.stderr.endswith(f"{sentence}\n"), job.stderr
    assert call.stderr.startswith(f"{sentence} {{"), call.stderr
    server.must_be_clean()


def test_the_walkthrough_says_that_nobody_answers(stubs: Path) -> None:
    refused = run(stubs, "127.0.0.1:1")
    assert refused.returncode == 1
    assert refused.stderr.startswith("UNAVAILABLE: failed to connect"), refused.stderr
