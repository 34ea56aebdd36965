"""How a server starts, what it refuses to start with, who may reach it, how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import threading
import time
from pathlib import Path

import grpc
import pytest
import wire
from grpc_health.v1 import health_pb2, health_pb2_grpc
from reference import blobs
from server import BARYD, SLOWNESS, until
from wire import Client, fit_request, job, refused, t

X = blobs(200, 2, 3)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BARYD, *arguments], capture_output=True, text=True, timeout=60, env={**os.environ, **environment}, check=False)


def test_help_names_every_flag() -> None:
    said = run("--help")
    assert said.returncode == 0
    for flag in ("--listen", "--state", "--config", "--http", "--memory", "--threads", "--print-config", "--version"):
        assert flag in said.stdout
    assert re.match(r"baryd \d+\.\d+\.\d+", run("--version").stdout)


def test_an_unknown_flag_is_refused_by_name() -> None:
    said = run("--lisen", "x")
    assert said.returncode in (2, 78)
    assert "--lisen" in said.stderr
    assert "--listen" in said.stderr


def test_a_taken_port_is_refused(start: object) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        server = start("--listen", address, start=False)
        code, reason = server.refuses_to_start()
    assert code != 0
    assert f"cannot listen on '{address}'" in reason


def test_a_locked_state_folder_is_refused(start: object) -> None:
    first = start()
    second = start("--state", str(first.state), name="second", start=False)
    code, reason = second.refuses_to_start()
    assert code != 0
    assert f"state folder '{first.state}' is in use by another server" in reason
    with Client(first.unix) as client:
        assert client.fit(X, 3).fit.rows == 200


def test_a_live_socket_is_not_stolen(start: object) -> None:
    first = start()
    second = start("--listen", first.unix, name="second", start=False)
    code, reason = second.refuses_to_start()
    assert code != 0
    assert str(first.socket) in reason
    with Client(first.unix) as client:
        assert client.fit(X, 3).fit.rows == 200


def test_a_dead_servers_socket_and_lock_are_taken_over(start: object) -> None:
    server = start()
    server.kill()
    assert server.socket.exists()
    server.start()
    with Client(server.unix) as client:
        assert client.fit(X, 3).fit.rows == 200


@pytest.mark.parametrize("what", ["a file", "below a file", "nobody may write", "no bytes left"])
def test_a_state_folder_that_cannot_be_used_is_refused(start: object, folder: Path, what: str) -> None:
    place = folder / "bad"
    if what == "a file":
        place.write_text("")
    elif what == "below a file":
        place.write_text("")
        place = place / "state"
    elif what == "nobody may write":
        if os.geteuid() == 0:
            place = Path("/proc/self/nowhere")
        else:
            place.mkdir(mode=0o500)
    else:
        place = Path("/dev/full")
    server = start("--state", str(place), start=False)
    code, reason = server.refuses_to_start()
    assert code != 0
    assert f"state folder '{place}' cannot be used" in reason or str(place) in reason


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:7433"])
def test_only_loopback_is_listened_on(start: object, address: str) -> None:
    server = start("--listen", address, start=False)
    code, reason = server.refuses_to_start()
    assert code != 0
    assert f"will not listen on '{address}'" in reason
    server = start("--http", address, name="http", start=False)
    code, reason = server.refuses_to_start()
    assert code != 0
    assert "will not listen on" in reason


def test_the_socket_is_for_its_owner(start: object) -> None:
    server = start()
    assert stat.S_IMODE(server.socket.stat().st_mode) == 0o600
    for path in server.state.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_turned_away(start: object, folder: Path) -> None:
    server = start()
    for place in (folder, server.folder, server.socket):
        place.chmod(0o777)
    script = (
        "import os, socket, sys\nos.setuid(65534)\ns = socket.socket(socket.AF_UNIX)\ns.settimeout(5)\n"
        "s.connect(sys.argv[1])\ns.sendall(b'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n\\0\\0\\0\\4\\0\\0\\0\\0\\0')\nprint(len(s.recv(100)))"
    )
    said = subprocess.run(["python3", "-c", script, str(server.socket)], capture_output=True, text=True, timeout=30, check=False)
    assert said.stdout.strip() in ("0", ""), said.stdout
    with Client(server.unix) as client:
        assert client.fit(X, 3).fit.rows == 200


def configured(folder: Path, text: str) -> str:
    path = folder / "baryd.conf"
    path.write_text(text)
    return str(path)


def test_a_file_the_environment_and_flags_set_what_they_say(start: object, folder: Path) -> None:
    path = configured(folder, "[server]\nthreads = 1\n[limits]\nqueued_jobs = 7\nobjects = 9\n")
    server = start("--config", path, environment={"BARY_LIMITS_OBJECTS": "11"})
    with Client(server.unix) as client:
        got = client.server.GetServer(wire.server.GetServerRequest())
    limits = {limit.name: limit.value for limit in got.limits}
    assert (limits["queued_jobs"], limits["objects"]) == (7, 11)
    assert got.threads == 1
    shown = run("--config", path, "--print-config", BARY_LIMITS_OBJECTS="11").stdout
    assert re.search(r"queued_jobs\s*=\s*7\b.*baryd\.conf", shown), shown
    assert re.search(r"objects\s*=\s*11\b.*(environment|BARY_LIMITS_OBJECTS)", shown), shown
    assert re.search(r"calls\s*=\s*4096\b.*default", shown), shown


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[limits]\nqueued_job = 7\n", 2, ["queued_job", "queued_jobs"]),
        ("[limits]\nqueued_jobs = many\n", 2, ["queued_jobs", "many"]),
        ("[limits]\nqueued_jobs = 0\n", 2, ["queued_jobs", "0"]),
        ("[limits]\nqueued_jobs = 7\nqueued_jobs = 8\n", 3, ["queued_jobs"]),
        ("[limit]\nqueued_jobs = 7\n", 2, ["limit"]),
        ("[server]\nthreads\n", 2, []),
    ],
)
def test_a_bad_file_is_refused_with_its_line(folder: Path, text: str, line: int, words: list[str]) -> None:
    path = configured(folder, text)
    said = run("--config", path, "--state", str(folder / "state"))
    assert said.returncode == 78
    assert f"{path}:{line}" in said.stderr or f"line {line}" in said.stderr, said.stderr
    for word in words:
        assert word in said.stderr


def test_a_reload_takes_what_may_be_reloaded_or_nothing(start: object, folder: Path) -> None:
    path = configured(folder, "[limits]\nqueued_jobs = 7\n")
    server = start("--config", path)

    def value() -> int:
        with Client(server.unix) as client:
            limits = client.server.GetServer(wire.server.GetServerRequest()).limits
        return next(limit.value for limit in limits if limit.name == "queued_jobs")

    configured(folder, "[limits]\nqueued_jobs = 8\n")
    server.signal(signal.SIGHUP)
    until(lambda: value() == 8, "the new limit")
    assert server.metric("config_reload_success") == 1
    configured(folder, "[limits]\nqueued_jobs = 9\nnonsense = 1\n")
    server.signal(signal.SIGHUP)
    until(lambda: server.metric("config_reload_success") == 0, "the failed reload told")
    assert value() == 8


def test_log_lines_are_json_and_tell_of_no_clients_mistake_as_ours(start: object) -> None:
    server = start()
    with Client(server.unix) as client, refused("TOO_FEW_ROWS"):
        client.fit(X, 1000)
    server.stop()
    lines = [json.loads(line) for line in server.said]
    assert lines
    assert all({"ts", "level", "event"} <= set(line) for line in lines)
    assert not [line for line in lines if line["level"] == "error"]


def test_a_drain_lets_running_calls_finish_and_takes_no_new_jobs(start: object) -> None:
    server = start()
    data = blobs(200_000, 8, 4, dtype="float32")
    with Client(server.tcp) as client:
        client.store(data, "d")
        waits = client.clustering.Fit.future(fit_request("d", 16, wait=20, max_iter=40, fixed_rounds=True), timeout=40)
        until(lambda: server.metric("jobs_running") == 1, "running")
        begun = time.monotonic()
        server.signal(signal.SIGTERM)
        until(lambda: server.get("/readyz")[0] == 503, "not ready", 3)
        assert server.get("/livez")[0] == 200
        stub = health_pb2_grpc.HealthStub(client.channel)
        assert stub.Check(health_pb2.HealthCheckRequest(service="")).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert waits.result(timeout=60).state == t.JOB_STATE_SUCCEEDED

        def refusing() -> bool:
            try:
                client.fit(X, 3)
            except grpc.RpcError as error:
                # A call that meets the very end of the server is cut off by gRPC in its own words.
                assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED), error
                return True
            return False

        until(refusing, "refusing new jobs", 12)
    assert server.process.wait(timeout=40 * SLOWNESS) == 0
    assert time.monotonic() - begun < 31 * SLOWNESS
    server.must_be_clean()


def test_a_drain_answers_draining_in_words(start: object) -> None:
    server = start("--drain-ms", "9000")
    data = blobs(200_000, 8, 4, dtype="float32")
    with Client(server.unix) as client:
        client.store(data, "d")
        made = client.clustering.Fit(fit_request("d", 32, max_iter=100_000, fixed_rounds=True))
        updates: list[object] = []

        def watch() -> None:
            try:
                updates.extend(client.job.Watch(job.WatchJobRequest(name=made.name), timeout=60))
            except grpc.RpcError as error:
                updates.append(error)

        watcher = threading.Thread(target=watch)
        watcher.start()
        until(lambda: client.job.Get(job.GetJobRequest(name=made.name)).state == t.JOB_STATE_RUNNING, "running")
        server.signal(signal.SIGTERM)
        reasons: set[str] = set()

        def refusing() -> bool:
            try:
                taken = client.clustering.Fit(fit_request("d", 4), timeout=5)
                client.job.Cancel(job.CancelJobRequest(name=taken.name))
            except grpc.RpcError as error:
                status = wire.rpc_status.from_call(error)
                reasons.add(wire.must_be_well_formed(error).reason if status else "closed")
                return True
            return False

        until(refusing, "refusing", 12)
        assert reasons <= {"DRAINING", "closed"}
        watcher.join(timeout=40)
        assert not watcher.is_alive()
    assert server.process.wait(timeout=40 * SLOWNESS) == 0
    last = updates[-1]
    if not isinstance(last, grpc.RpcError):
        assert last.state == t.JOB_STATE_CANCELLED
        assert "DRAINING" in (last.error.reason, dict(last.error.metadata).get("why", "")) or "shutting down" in last.error.message


def test_a_second_sigterm_skips_the_waiting(start: object) -> None:
    server = start()
    begun = time.monotonic()
    server.signal(signal.SIGTERM)
    time.sleep(0.2)
    server.signal(signal.SIGTERM)
    assert server.process.wait(timeout=20 * SLOWNESS) == 0
    assert time.monotonic() - begun < 4 * SLOWNESS


def test_an_idle_server_ends_with_zero_and_leaves_no_socket(start: object) -> None:
    server = start()
    server.stop()
    assert not server.socket.exists()


def test_exit_codes_are_those_of_the_page(start: object, folder: Path) -> None:
    """The table of docs/operations.md."""
    first = start()
    locked = start("--state", str(first.state), name="locked", start=False)
    refused_address = start("--listen", "0.0.0.0:0", name="refused", start=False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = start("--listen", f"127.0.0.1:{taken.getsockname()[1]}", name="busy", start=False)
        unwritable = start("--state", "/dev/full", name="unwritable", start=False)
        codes = [one.refuses_to_start()[0] for one in (locked, refused_address, busy, unwritable)]
    codes += [run("--lisen", "x").returncode, run("--config", configured(folder, "[limit]\nx = 1\n")).returncode]
    assert codes == [78, 78, 78, 74, 2, 78]
