"""Servers for tests: one shared by all that leave it as they found it, and as many own ones as are wanted."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import server as servers
import wire


def pytest_configure() -> None:
    if not os.access(servers.BARYD, os.X_OK):
        raise pytest.UsageError("BARYD must name the server to test: BARYD=build/dev/rpc/baryd")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short one: a socket's path holds 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="bary-") as name:
        yield Path(name)


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., servers.Server]]:
    """Starts servers of one's own: arguments are baryd's. They are stopped, and must end well."""
    started: list[servers.Server] = []

    def start_one(*arguments: str, name: str = "s", **options: object) -> servers.Server:
        started.append(servers.Server(folder / name, *arguments, **options))  # type: ignore[arg-type]
        return started[-1]

    yield start_one
    for one in started:
        one.stop()


@pytest.fixture(scope="session")
def shared() -> Iterator[servers.Server]:
    with tempfile.TemporaryDirectory(prefix="bary-") as name:
        one = servers.Server(Path(name))
        yield one
        one.stop()


@pytest.fixture
def bary(shared: servers.Server) -> Iterator[wire.Client]:
    """A client of the shared server."""
    assert shared.process is not None
    assert shared.process.poll() is None, f"the server died: {shared.words()}"
    with wire.Client(shared.unix) as client:
        yield client


@pytest.fixture
def own(start: Callable[..., servers.Server]) -> Iterator[tuple[servers.Server, wire.Client]]:
    """A server of one's own with a client."""
    one = start()
    with wire.Client(one.unix) as client:
        yield one, client
