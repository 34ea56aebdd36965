"""The private server's life, forks, interrupts: each in processes of its own."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

import bary
from bary import errors
from conftest import Run

HOLD = """
import os, sys, time, bary
from bary._session import SESSION
client = bary.connect()
server = SESSION._private
print(server.process.pid, server.folder, flush=True)
"""


def gone(pid: int, seconds: float = 10.0) -> bool:
    """Whether a process, not our child, ends in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def held(script: str, server: str, **environment: str) -> tuple[subprocess.Popen[str], int, Path]:
    """A process that started a private server; that server's pid and folder."""
    env = {k: v for k, v in os.environ.items() if k != "BARY_ADDRESS"} | environment
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    pid, folder = process.stdout.readline().split()
    return process, int(pid), Path(folder)


def test_it_ends_and_leaves_nothing_at_a_normal_exit(server: str) -> None:
    process, pid, folder = held(HOLD + "sys.stdin.read()", server)
    assert folder.is_dir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert gone(pid)
    assert not folder.exists()


@pytest.mark.parametrize("end", ["raise SystemExit(3)", "raise RuntimeError('so')"])
def test_it_ends_with_its_owner_however_that_exits(server: str, end: str) -> None:
    process, pid, folder = held(HOLD + end, server)
    process.communicate(timeout=30)
    assert gone(pid)
    assert not folder.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda n: n.name)
def test_it_ends_when_its_owner_is_killed(server: str, number: int) -> None:
    process, pid, _ = held(HOLD + "time.sleep(60)", server)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert gone(pid)


def test_a_child_that_lives_on_does_not_keep_it(server: str) -> None:
    fork = "child = os.fork()\nif child == 0:\n    time.sleep(20)\n    os._exit(0)\n"
    script = HOLD + fork + "print(child, flush=True)\ntime.sleep(60)"
    process, pid, _ = held(script, server)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.kill()
    process.wait(30)
    try:
        assert gone(pid)
        assert Path(f"/proc/{child}").exists()
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_folder_that_a_killed_owner_left_is_removed_by_the_next(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, pid, folder = held(HOLD + "time.sleep(60)", server, TMPDIR=str(tmp_path))
    process.kill()
    process.wait(30)
    assert gone(pid)
    if folder.exists():
        os.utime(folder, (0, 0))
    alive, _, other = held(HOLD + "sys.stdin.read()", server, TMPDIR=str(tmp_path))
    os.utime(other, (0, 0))
    third, _, _ = held(HOLD + "sys.stdin.read()", server, TMPDIR=str(tmp_path))
    assert not folder.exists()
    assert other.exists()
    for each in (alive, third):
        each.communicate(timeout=30)
    assert list(tmp_path.glob("bary-private-*")) == []


def test_connections_of_a_process_and_its_children_share_one(python: Run) -> None:
    done = python("""
import os, subprocess, sys, bary
one, two = bary.connect(), bary.connect()
assert one.address == two.address == os.environ["BARY_ADDRESS"]
script = "import bary; print(bary.connect().address)"
child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
assert child.stdout.strip() == one.address
assert one.server().started == two.server().started
print("shared")
""")
    assert (done.stdout, done.stderr) == ("shared\n", "")


def test_a_forked_child_fits_with_its_parents_server(python: Run) -> None:
    done = python("""
import multiprocessing as mp
import numpy as np
import bary

X = np.random.default_rng(0).random((200, 2))

def work(seed):
    return bary.KMeans(3, random_state=seed).fit(X).inertia_

client = bary.connect()
want = [work(seed) for seed in range(8)]
with mp.get_context("fork").Pool(3) as pool:
    got = pool.map(work, range(8))
assert got == want, (got, want)
assert [work(seed) for seed in range(8)] == want
print(client.address == bary.connect().address)
""")
    assert done.stdout == "True\n", done.stderr


def test_a_forked_child_that_exits_leaves_the_server_alone(python: Run) -> None:
    done = python("""
import os, sys, bary
client = bary.connect()
for _ in range(10):
    child = os.fork()
    if child == 0:
        bary.connect().server()
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
print(client.server().version != "", os.path.exists(client.address.removeprefix("unix:")))
""")
    assert done.stdout == "True True\n", done.stderr


def test_joblib_workers_share_the_server(python: Run) -> None:
    done = python("""
import numpy as np
from joblib import Parallel, delayed
import bary

X = np.random.default_rng(0).random((200, 2))
address = bary.connect().address

def work(seed):
    import bary
    return bary.KMeans(3, random_state=seed).fit(X).inertia_, bary.connect().address

got = Parallel(n_jobs=2)(delayed(work)(seed) for seed in range(4))
assert [inertia for inertia, _ in got] == [work(seed)[0] for seed in range(4)]
assert {where for _, where in got} == {address}
print("shared")
""")
    assert done.stdout == "shared\n", done.stderr


def test_a_server_that_died_is_replaced(python: Run) -> None:
    done = python("""
import os, signal, bary
from bary._session import SESSION
one = bary.connect()
server = SESSION._private
os.kill(server.process.pid, signal.SIGKILL)
server.process.wait()
try:
    one.server()
except bary.errors.UnreachableError as error:
    print(one.address in str(error))
two = bary.connect()
print(two.address != one.address, two.server().version != "")
""")
    assert done.stdout == "True\nTrue True\n", done.stderr


LONG = """
import sys, threading, time, os, signal
import numpy as np
import bary
client = bary.connect()
X = np.random.default_rng(0).random(({rows}, 8))
def interrupt():
    while not ({running}):
        time.sleep(0.02)
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGINT)
start = time.monotonic()
threading.Thread(target=interrupt, daemon=True).start()
try:
    {call}
except KeyboardInterrupt:
    took = time.monotonic() - start
    end = time.monotonic() + 5
    while any(not job.done for job in client.jobs.list()) and time.monotonic() < end:
        time.sleep(0.02)
    states = [job.state for job in client.jobs.list()]
    print("interrupted", states, took < 20)
    client.fit([[0.0], [1.0]], 1, wait=5).result()
    print(len(client.datasets.list()), "datasets left")
"""


@pytest.mark.parametrize(
    ("rows", "call", "states"),
    [
        (20_000, "bary.KMeans(100, tol=0, n_init=9999, init='random').fit(X)", "[]"),
        (20_000, "bary.KMeans(100, n_init=9999, verbose=1).fit(X)", "['cancelled']"),
        (60_000, "bary.KMeans(100, n_init=9999).fit(X)", "['cancelled']"),
        (20_000, "client.fit(X, 100, n_init=9999).result()", "['cancelled']"),
    ],
    ids=["ephemeral", "verbose", "dataset", "job"],
)
def test_an_interrupt_cancels_the_job(python: Run, rows: int, call: str, states: str) -> None:
    # An ephemeral fit is in no list: it is given time to be under way.
    started = "time.monotonic() > start + 2"
    listed = "any(j.state == 'running' for j in bary.connect(client.address).jobs.list())"
    running = started if states == "[]" else listed
    done = python(LONG.format(rows=rows, call=call, running=running))
    assert done.stdout == f"interrupted {states} True\n0 datasets left\n", done.stderr


def test_it_outlives_the_thread_that_started_it(python: Run) -> None:
    done = python("""
import threading, time, bary
from bary._session import SESSION
thread = threading.Thread(target=bary.connect)
thread.start()
thread.join()
time.sleep(1)
print(SESSION._private.alive)
""")
    assert done.stdout == "True\n", done.stderr


def test_an_interrupt_in_a_terminal_does_not_reach_the_server(python: Run) -> None:
    done = python("""
import os, bary
from bary._session import SESSION
bary.connect()
print(os.getpgid(SESSION._private.process.pid) != os.getpgid(0))
""")
    assert done.stdout == "True\n", done.stderr


def refused(python: Run, baryd: str, **environment: str) -> str:
    """What connect says when this is the server."""
    script = (
        "import bary\ntry:\n    bary.connect(timeout=3)\n"
        "except bary.errors.UnreachableError as error:\n    print(error)"
    )
    return python(script, BARY_BARYD=baryd, **environment).stdout


def program(path: Path, text: str) -> str:
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


def test_a_server_that_cannot_start_says_why(python: Run, tmp_path: Path) -> None:
    missing = (
        "echo 'baryd: error while loading shared libraries: libgrpc.so.29: "
        "cannot open shared object file: No such file or directory' >&2; exit 127"
    )
    said = refused(python, program(tmp_path / "missing", missing))
    assert "needs the library libgrpc.so.29" in said
    assert "apt-get install libgrpc29" in said
    assert "no program that can be run" in refused(python, str(tmp_path / "nothing"))
    said = refused(python, program(tmp_path / "broken", "echo broken inside >&2; exit 70"))
    assert "exit code 70: broken inside" in said
    assert "not ready in time" in refused(python, program(tmp_path / "mute", "exec sleep 30"))
    assert "instead of being ready" in refused(python, program(tmp_path / "odd", "echo hello; cat"))


def test_no_server_at_an_address_is_a_connection_error() -> None:
    start = time.monotonic()
    with pytest.raises(errors.UnreachableError) as caught:
        bary.connect("unix:/nonexistent/baryd.sock", timeout=0.5)
    assert isinstance(caught.value, ConnectionError)
    assert "/nonexistent/baryd.sock" in str(caught.value)
    assert time.monotonic() - start < 5


def test_an_address_in_the_environment_is_used(python: Run, client: bary.Client) -> None:
    script = "import bary; print(bary.connect().address, bary.KMeans(1).fit([[1.0]]).inertia_)"
    done = python(script, BARY_ADDRESS=client.address)
    assert done.stdout == f"{client.address} 0.0\n", done.stderr


def test_estimators_use_the_client_that_was_chosen(client: bary.Client) -> None:
    bary.set_client(bary.connect(client.address))
    try:
        assert bary.KMeans(1).fit([[1.0], [3.0]]).inertia_ == 2.0
        bary.set_client(bary.Client("unix:/nonexistent/baryd.sock"))
        with pytest.raises(ConnectionError):
            bary.KMeans(1).fit([[1.0]])
    finally:
        bary.set_client(None)
