"""A server of our own: started when nothing else is named, gone with the process that started it.

What ends it, in this order of likelihood: the owner's normal exit (its stdin is closed, then it is
told, then waited for); the owner's death by any signal (the kernel closes the pipe that is its
stdin, which it watches); and the owner's next start, which removes folders that a killed one left.
A forked child closes its copy of the pipe, so that children cannot keep it alive.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import re
import select
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO, cast

from bary import errors

log = logging.getLogger("bary")

ADDRESS_VARIABLE = "BARY_ADDRESS"
SERVER_VARIABLE = "BARY_BARYD"

_PREFIX = "bary-private-"
_SOCKET = "baryd.sock"
_SOCKET_PATH_BYTES_MAX = 107  # struct sockaddr_un
_STALE_SECONDS = 60.0
_STOP_SECONDS = 5.0

_MISSING_LIBRARY = re.compile(r"error while loading shared libraries: ([^:\s]+)")
_PACKAGES = (
    "on Debian 12: apt-get install libgrpc29 libprotobuf-c1 libsqlite3-0 libssl3 "
    "libmicrohttpd12 libjansson4 libinih1 libgomp1"
)


def find_baryd() -> str:
    """Path of the server: BARY_BARYD, else the one in this package, else the one on PATH.

    Raises
    ------
    bary.errors.UnreachableError
        There is none; the message says what to do.
    """
    named = os.environ.get(SERVER_VARIABLE)
    if named:
        if os.access(named, os.X_OK) and os.path.isfile(named):
            return named
        raise _cannot(f"{SERVER_VARIABLE}={named} is no program that can be run")
    packaged = Path(__file__).with_name("_bin") / "baryd"
    if os.access(packaged, os.X_OK):
        return str(packaged)
    found = shutil.which("baryd")
    if found:
        return found
    raise _cannot(
        f"there is no baryd here: install a wheel of bary that carries it, set {SERVER_VARIABLE} "
        f"to its path, or set {ADDRESS_VARIABLE} to the address of a server that runs"
    )


def _cannot(why: str) -> errors.UnreachableError:
    return errors.UnreachableError(
        f"cannot start a private server: {why}", {"address": "a private server", "why": why}
    )


def _make_folder() -> Path:
    """A folder of mode 0700, with a path short enough for a socket in it."""
    for parent in (None, "/tmp"):
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        if len(os.fsencode(folder / _SOCKET)) <= _SOCKET_PATH_BYTES_MAX:
            return folder
        folder.rmdir()
    raise _cannot("no temporary folder has a path short enough for a socket")


def _remove_stale(parent: Path) -> None:
    """Remove our folders whose server answers no more: their owner was killed."""
    for folder in parent.glob(_PREFIX + "*"):
        with contextlib.suppress(OSError):
            status = folder.lstat()
            young = time.time() - status.st_mtime < _STALE_SECONDS
            if status.st_uid == os.getuid() and not young and not _answers(folder / _SOCKET):
                shutil.rmtree(folder)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
        return True


class PrivateServer:
    """A running `baryd --private` on a unix socket in a folder of its own.

    Parameters
    ----------
    timeout : float
        Seconds within which it must be ready.

    Raises
    ------
    bary.errors.UnreachableError
        It could not be started; the message holds its last words.
    """

    def __init__(self, timeout: float) -> None:
        program = find_baryd()
        folder = _make_folder()
        self.folder = folder
        self.owner = os.getpid()
        _remove_stale(folder.parent)
        self.address = f"unix:{folder / _SOCKET}"
        command = [program, "--private", "--listen", self.address, "--state", str(folder / "state")]
        environment = {k: v for k, v in os.environ.items() if k != ADDRESS_VARIABLE}
        try:
            with open(folder / "baryd.log", "wb") as errors_to:
                # Its own session: Ctrl-C in a terminal is for the owner, which cancels its job.
                self.process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors_to,
                    env=environment,
                    start_new_session=True,
                )
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise _cannot(f"{program}: {error.strerror}") from error
        atexit.register(self.stop)
        os.register_at_fork(after_in_child=self._forget)
        try:
            self._await_ready(time.monotonic() + timeout)
        except BaseException:
            self.stop()
            raise
        log.debug("private server %d at %s", self.process.pid, self.address)

    @property
    def alive(self) -> bool:
        """Whether it runs, as far as its owner can tell."""
        return self.owner == os.getpid() and self.process.poll() is None

    def _await_ready(self, end: float) -> None:
        stdout = cast(IO[bytes], self.process.stdout)
        said = b""
        while b"\n" not in said:
            left = end - time.monotonic()
            readable, _, _ = select.select([stdout], [], [], max(left, 0.0))
            if not readable:
                raise _cannot(f"baryd was not ready in time{self._last_words()}")
            more = os.read(stdout.fileno(), 65536)
            if not more:
                raise self._died()
            said += more
        try:
            ready = json.loads(said.partition(b"\n")[0]).get("event") == "ready"
        except (ValueError, AttributeError):
            ready = False
        if not ready:
            raise _cannot(f"baryd said {said[:200]!r} instead of being ready")

    def _died(self) -> errors.UnreachableError:
        code = self.process.wait()
        words = self._last_words()
        missing = _MISSING_LIBRARY.search(words)
        if missing:
            return _cannot(f"baryd needs the library {missing[1]}, which is missing; {_PACKAGES}")
        return _cannot(f"baryd ended with exit code {code}{words}")

    def _last_words(self) -> str:
        try:
            text = (self.folder / "baryd.log").read_text(errors="replace").strip()
        except OSError:
            return ""
        return f": {text[-1000:]}" if text else ""

    def _forget(self) -> None:
        """In a forked child: close the copies of the pipes, so that only the owner holds them."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def stop(self) -> None:
        """End it and remove its folder; only the owner does, and only once."""
        if self.owner != os.getpid():
            return
        atexit.unregister(self.stop)
        if os.environ.get(ADDRESS_VARIABLE) == self.address:
            del os.environ[ADDRESS_VARIABLE]
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_STOP_SECONDS)
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_STOP_SECONDS)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
