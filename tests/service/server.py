"""A baryd of one's own: started, asked, stopped, killed."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

BARYD = os.environ.get("BARYD", "")
# Sanitizers make everything several times slower.
SLOWNESS = 10 if os.environ.get("BARY_SANITIZED") else 1


def rows_for(rows: int) -> int:
    """So many rows, or fewer where that takes as long."""
    return 2 * rows // max(2, SLOWNESS)


def crowding() -> float:
    """How many times slower things are because others use the machine: bounds in milliseconds stretch by it."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)) * SLOWNESS


REPORTS = ("ThreadSanitizer", "AddressSanitizer", "LeakSanitizer", "runtime error:")


def until(holds: Callable[[], object], what: str, seconds: float = 10.0) -> None:
    """Asks until it holds; says what was waited for when it never does."""
    end = time.monotonic() + seconds * SLOWNESS
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds * SLOWNESS} s: not {what}")
        time.sleep(0.01)


class Server:
    """A process, its state folder, its addresses."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        limits: Mapping[int, int] | None = None,
        start: bool = True,
    ) -> None:
        self.folder = folder
        self.socket = folder / "baryd.sock"
        self.state = folder / "state"
        self.arguments = arguments
        self.environment = {**os.environ, **(environment or {})}
        self.limits = dict(limits or {})
        self.process: subprocess.Popen[str] | None = None
        self.said: list[str] = []
        self.tcp = self.http = ""
        if start:
            self.start()

    @property
    def unix(self) -> str:
        return f"unix:{self.socket}"

    def command(self) -> list[str]:
        given = " ".join(self.arguments)
        own = ["--listen", "127.0.0.1:0", "--listen", self.unix] if "--listen" not in given else []
        own += ["--state", str(self.state)] if "--state" not in given else []
        own += ["--http", "127.0.0.1:0"] if "--http" not in given else []
        return [BARYD, *own, *self.arguments]

    def _bound(self) -> None:
        for which, most in self.limits.items():
            resource.setrlimit(which, (most, resource.getrlimit(which)[1]))

    def spawn(self) -> subprocess.Popen[str]:
        """Starts the process and reads what it logs; does not wait until it is ready."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.said = []
        self.process = subprocess.Popen(
            self.command(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            preexec_fn=self._bound if self.limits else None,
        )
        threading.Thread(target=self._listen, args=(self.process, self.said), daemon=True).start()
        return self.process

    @staticmethod
    def _listen(process: subprocess.Popen[str], said: list[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line.rstrip("\n"))

    def start(self) -> Server:
        process = self.spawn()
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            process.wait()
            raise AssertionError(f"baryd ended with {process.returncode}: {self.words()}")
        ready = json.loads(line)
        assert ready["event"] == "ready", line
        assert ready["pid"] == process.pid
        self.tcp = next((a for a in ready["listen"] if not a.startswith("unix:")), "")
        self.http = ready["http"]
        return self

    def words(self) -> str:
        return "\n".join(self.said[-40:])

    def refuses_to_start(self) -> tuple[int, str]:
        """Exit code and the last line of a server that cannot start."""
        process = self.spawn()
        assert process.stdout is not None
        assert process.stdout.read() == "", "it became ready"
        code = process.wait()
        until(lambda: self.said, "a reason on stderr")
        time.sleep(0.05)
        return code, self.said[-1]

    def get(self, path: str) -> tuple[int, str]:
        """A page of the side port."""
        try:
            with urllib.request.urlopen(f"http://{self.http}{path}", timeout=10) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        """The sum over all label sets of one metric."""
        lines = [line.rsplit(" ", 1) for line in self.get("/metrics")[1].splitlines() if not line.startswith("#")]
        values = [float(value) for key, value in lines if key.split("{")[0] == f"bary_{name}"]
        assert values, f"no metric bary_{name}"
        return sum(values)

    def memory(self, which: str = "VmRSS") -> int:
        """Bytes of the process, as the kernel counts them."""
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(which + ":"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"no {which}")

    def descriptors(self) -> int:
        assert self.process is not None
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9, at once."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self._close()

    def stop(self) -> None:
        """SIGTERM twice (do not wait for balancers); it must end well and no sanitizer may have spoken."""
        if self.process is None or self.process.poll() is not None:
            return
        self.signal(signal.SIGTERM)
        until(lambda: self.process.poll() is not None or any('"draining"' in line for line in self.said), "draining")
        if self.process.poll() is None:  # two at once would be one
            self.signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=40 * SLOWNESS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"baryd does not end: {self.words()}") from None
        self._close()
        assert code == 0, f"baryd ended with {code}: {self.words()}"
        self.must_be_clean()

    def must_be_clean(self) -> None:
        spoken = [line for line in self.said if any(word in line for word in REPORTS)]
        assert not spoken, "\n".join(self.said[-80:])

    def _close(self) -> None:
        assert self.process is not None
        if self.process.stdout:
            self.process.stdout.close()
