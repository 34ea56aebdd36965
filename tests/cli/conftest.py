"""The command, run as users run it, with servers of the tests' own."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = os.environ.get("BARY_BIN", "")
BARY = os.environ.get("BARY_CLI", f"{FOLDER}/bary" if FOLDER else str(ROOT / "build/dev/clients/cli/bary"))
BARYD = os.environ.get("BARY_BARYD", f"{FOLDER}/baryd" if FOLDER else str(ROOT / "build/dev/rpc/baryd"))
# Sanitizers make everything several times slower.
SLOWNESS = 10 if os.environ.get("BARY_SANITIZED") else 1


def pytest_configure() -> None:
    if not os.access(BARY, os.X_OK):
        raise pytest.UsageError("BARY_BIN must name the folder of bary and baryd, or BARY_CLI and BARY_BARYD the two")


@dataclasses.dataclass
class Ended:
    """How a run of the command ended."""

    code: int
    out: str
    error: str

    def json(self) -> Any:
        return json.loads(self.out)


class Command:
    """bary in a folder, with a server's address in its environment ("": none)."""

    def __init__(self, folder: Path, address: str = "") -> None:
        self.folder = folder
        self.environment = {k: v for k, v in os.environ.items() if k != "BARY_ADDRESS"}
        self.environment["BARY_ADDRESS"] = address or "127.0.0.1:1"
        self.environment["PATH"] = f"{Path(BARYD).parent}:{self.environment['PATH']}"

    def start(self, *words: object, **more: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [BARY, *map(str, words)],
            cwd=self.folder,
            env=self.environment,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **more},
        )

    def __call__(self, *words: object) -> Ended:
        process = self.start(*words)
        out, error = process.communicate(timeout=60 * SLOWNESS)
        assert "Sanitizer" not in error, error
        return Ended(process.returncode, out, error)

    def ok(self, *words: object) -> Ended:
        """A run that must end well and say nothing on stderr."""
        ended = self(*words)
        assert (ended.code, ended.error) == (0, ""), ended
        return ended

    def refused(self, code: int, sentence: str, *words: object) -> Ended:
        """A run that must end with this exit status and this one sentence, or one that begins so ("...")."""
        ended = self(*words)
        assert ended.code == code, ended
        assert ended.error.count("\n") == 1, ended.error
        if sentence.endswith("..."):
            assert ended.error.startswith(f"bary: {sentence[:-3]}"), ended.error
        else:
            assert ended.error == f"bary: {sentence}\n"
        return ended


class Server:
    """A baryd on a socket and a port of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.unix = f"unix:{folder / 'b.sock'}"
        words = ["--listen", "127.0.0.1:0", "--listen", self.unix, "--state", str(folder / "state"), "--http", "127.0.0.1:0"]
        with open(folder / "log", "w") as log:
            self.process = subprocess.Popen([BARYD, *words, *arguments], stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, (folder / "log").read_text()
        self.tcp = next(a for a in json.loads(line)["listen"] if not a.startswith("unix:"))

    def stop(self) -> None:
        for wait in (0.3, 10 * SLOWNESS):  # the second SIGTERM skips the drain
            if self.process.poll() is not None:
                break
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(wait)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short one: a socket's path holds 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="bary-") as name:
        yield Path(name)


@pytest.fixture
def bary(folder: Path) -> Command:
    """The command without a server."""
    return Command(folder)


@pytest.fixture(scope="session")
def shared() -> Iterator[Server]:
    if not os.access(BARYD, os.X_OK):
        pytest.skip(f"there is no baryd at {BARYD}")
    with tempfile.TemporaryDirectory(prefix="bary-") as name:
        server = Server(Path(name))
        yield server
        server.stop()


@pytest.fixture
def remote(folder: Path, shared: Server) -> Command:
    """The command with a server that all tests share."""
    assert shared.process.poll() is None
    return Command(folder, shared.unix)


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers of the test's own; stops what is left of them."""
    if not os.access(BARYD, os.X_OK):
        pytest.skip(f"there is no baryd at {BARYD}")
    started: list[Server] = []

    def start_one(*arguments: str) -> Server:
        started.append(Server(folder / f"server{len(started)}", *arguments))
        return started[-1]

    yield start_one
    for server in started:
        server.stop()


def until(holds: Callable[[], object], what: str, seconds: float = 10.0) -> None:
    """Asks until it holds; says what was waited for when it never does."""
    end = time.monotonic() + seconds * SLOWNESS
    while not holds():
        assert time.monotonic() < end, f"not {what} after {seconds * SLOWNESS} s"
        time.sleep(0.02)


def blobs(rows: int = 1000, columns: int = 3, clusters: int = 5, seed: int = 0) -> np.ndarray:
    """Rows around well separated centers."""
    random = np.random.default_rng(seed)
    centers = random.normal(size=(clusters, columns)) * 10
    return centers[np.arange(rows) % clusters] + random.normal(size=(rows, columns))


def long_fit(folder: Path) -> list[object]:
    """Writes rows that keep a fit busy for a minute; the words of that fit, without its place."""
    random = np.random.default_rng(3)
    np.save(folder / "long.npy", random.random((60000, 16)).astype("f4"))
    return ["fit", "long.npy", "--n-clusters", 500, "--max-iter", 100000, "--fixed-rounds", "--init", "random"]
