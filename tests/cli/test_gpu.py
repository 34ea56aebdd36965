"""bary on a GPU that fails to order: --device, --backend-dir and --forbid-fallback, here and on a server."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import BARY, Command, Server, blobs

FAKES = Path(BARY).resolve().parents[2] / "tests/faults"
FIT = ("fit", "x.npy", "--n-clusters", 5, "--random-state", 1, "--labels", "l.npy", "--centers", "c.npy")
LOCAL = ("--local", "--backend-dir", FAKES / "gpu")

pytestmark = pytest.mark.skipif(not (FAKES / "gpu/libbary_cuda.so").exists(), reason="tests/faults is not built")


@pytest.fixture
def wanted(bary: Command, folder: Path) -> bytes:
    """Labels and centers of the CPU."""
    np.save(folder / "x.npy", blobs())
    bary.ok(*FIT, "--local", "--device", "cpu")
    return files(folder)


def files(folder: Path) -> bytes:
    return (folder / "l.npy").read_bytes() + (folder / "c.npy").read_bytes()


def test_a_gpu_gives_the_bits_of_the_cpu(bary: Command, folder: Path, wanted: bytes) -> None:
    report = bary.ok(*FIT, *LOCAL, "--device", "gpu", "--forbid-fallback", "--json").json()["report"]
    assert (report["backend"], report["device"], report["method"]) == ("cuda", "Fake GPU 0", "canonical-fake")
    assert files(folder) == wanted
    for device, backend in (("auto", "cpu"), ("cpu", "cpu")):
        assert bary.ok(*FIT, *LOCAL, "--device", device, "--json").json()["report"]["backend"] == backend


def test_the_folder_comes_from_the_environment_too(bary: Command, wanted: bytes) -> None:
    bary.environment["BARY_BACKEND_DIR"] = str(FAKES / "gpu")
    assert bary.ok(*FIT, "--local", "--device", "gpu", "--json").json()["report"]["backend"] == "cuda"


@pytest.mark.parametrize(
    ("words", "step"),
    [
        ("absent=NO_DRIVER", "gpu -> cpu: NO_DRIVER (the fake driver said no with error 999)"),
        ("fail=assign:1:DEVICE_LOST", "cuda:0 -> cpu: DEVICE_LOST (fake error 700 in assign)"),
    ],
)
def test_a_gpu_that_fails_is_said_and_left(bary: Command, folder: Path, wanted: bytes, words: str, step: str) -> None:
    bary.environment["BARY_FAKE_GPU"] = words
    ended = bary(*FIT, *LOCAL, "--device", "gpu", "--json")
    assert (ended.code, ended.error) == (0, f"bary: falls back: {step}\n")
    assert ended.json()["report"]["fallbacks"] == [step]
    assert ended.json()["report"]["backend"] == "cpu"
    assert files(folder) == wanted
    ended = bary(*FIT, *LOCAL, "--device", "gpu", "--forbid-fallback")
    assert ended.code == 69
    assert step.split("(")[1].rstrip(")") in ended.error


def test_predict_goes_to_a_gpu_and_off_it(bary: Command, folder: Path, wanted: bytes) -> None:
    predict = ("predict", "x.npy", "--model", "./c.npy", "--labels", "p.npy", "--json")
    assert bary.ok(*predict, *LOCAL, "--device", "gpu").json()["report"]["backend"] == "cuda"
    assert (folder / "p.npy").read_bytes() == (folder / "l.npy").read_bytes()
    bary.environment["BARY_FAKE_GPU"] = "fail=labels_read:1:DEVICE_LOST"
    assert bary(*predict, *LOCAL, "--device", "gpu").json()["report"]["backend"] == "cpu"
    assert (folder / "p.npy").read_bytes() == (folder / "l.npy").read_bytes()


def test_a_server_is_asked_for_the_same(folder: Path, wanted: bytes) -> None:
    server = Server(folder / "s", "--backend-dir", str(FAKES / "gpu"))
    try:
        command = Command(folder, server.unix)
        assert command.ok(*FIT, "--device", "gpu", "--json").json()["report"]["backend"] == "cuda"
        assert files(folder) == wanted
        assert command.ok(*FIT, "--device", "cpu", "--json").json()["report"]["backend"] == "cpu"
        devices = [line for line in command.ok("server").out.splitlines() if line.startswith("device")]
        assert devices[0].startswith("device        cuda 0: Fake GPU 0, OK, sm_00, 1.0 GiB, 0 B of ")
    finally:
        server.stop()


def test_a_server_without_one_says_so_or_refuses(folder: Path, wanted: bytes) -> None:
    server = Server(folder / "s", "--backend-dir", "/nowhere")
    try:
        command = Command(folder, server.unix)
        fallbacks = command.ok(*FIT, "--device", "gpu", "--json").json()["report"]["fallbacks"]
        assert fallbacks[0].startswith("gpu -> cpu: NO_DEVICE (PLUGIN_MISSING")
        command.refused(69, "no gpu device is available: PLUGIN_MISSING...", *FIT, "--device", "gpu", "--forbid-fallback")
    finally:
        server.stop()
