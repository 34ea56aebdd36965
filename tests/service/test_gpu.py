"""A server and its GPU: plug-ins that are refused, devices that say no, hang or are lost; never an end, never another bit."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wire
from grpc_health.v1 import health_pb2, health_pb2_grpc
from reference import blobs
from server import BARYD, SLOWNESS, Server, until
from wire import Client, fit_request, refused, t

BUILD = Path(BARYD).resolve().parents[1] if BARYD else Path()
FAKES = BUILD / "tests/faults"
CLI = BUILD / "clients/cli/bary"
FILE = "libbary_cuda.so"
X = blobs(900, 3, 4)
SMALL = blobs(60, 2, 2)
# What a device may let pass in silence: short, so that tests are.
IMPATIENT = {"BARY_LIMITS_HANG_MS": "200", "BARY_LIMITS_HANG_FACTOR": "1"}
# The bits are asked of the CPU; a GPU that is dear would not be chosen.
CHEAP = "row_ns=0.001 tile_ns=1 copy_ns=0.001"

pytestmark = pytest.mark.skipif(not (FAKES / "gpu" / FILE).exists(), reason="tests/faults is not built")

Start = Callable[..., Server]


def gpu(start: Start, words: str = "", **more: str) -> Server:
    """A server whose GPU is the fake one, told so."""
    server: Server = start("--backend-dir", str(FAKES / "gpu"), environment={"BARY_FAKE_GPU": words, **IMPATIENT, **more})
    return server


def fit(client: Client, data: np.ndarray = X, *, backend: int = t.BACKEND_GPU, forbid: bool = False, **parameters: Any) -> Any:
    request = fit_request(data, 4, wait=30 * SLOWNESS, random_state=3, **parameters)
    request.placement.backend = backend
    request.placement.forbid_fallback = forbid
    return client.clustering.Fit(request, timeout=40 * SLOWNESS)


def bits(job: Any) -> tuple[object, ...]:
    result = job.fit
    return result.cluster_centers.data, result.labels.data, result.inertia, result.n_iter


def devices(client: Client) -> list[Any]:
    return list(client.server.GetServer(wire.server.GetServerRequest()).devices)


def the_gpu(client: Client) -> Any:
    return next(d for d in devices(client) if d.backend != "cpu")


def health(client: Client, service: str = "gpu") -> int:
    stub = health_pb2_grpc.HealthStub(client.channel)
    return int(stub.Check(health_pb2.HealthCheckRequest(service=service)).status)


SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def in_python(address: str) -> dict[str, str]:
    """What the Python client shows of the GPU, in a process of its own: its package has this one's name."""
    code = (
        "import bary, json, sys\n"
        "with bary.connect(sys.argv[1]) as client:\n"
        "    gpu = next(d for d in client.server().devices if d.backend != 'cpu')\n"
        "    print(json.dumps([gpu.state, gpu.reason_name, gpu.reason, gpu.advice]))\n"
    )
    path = str(wire.ROOT / "clients/python")
    said = subprocess.run(
        [sys.executable, "-c", code, address],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    return dict(zip(("state", "reason_name", "reason", "advice"), json.loads(said.stdout), strict=True))


def check_absent(server: Server, reason: str, sentence: str, state: str = "ABSENT") -> None:
    """It serves; log, GetServer, `bary server` and Python say why there is no GPU, in the same words."""
    with Client(server.unix) as client:
        job = fit(client)
        assert job.report.backend == "cpu"
        assert any(reason in step for step in job.report.fallbacks), list(job.report.fallbacks)
        shown = the_gpu(client)
        assert (shown.state, shown.reason_name) == (state, reason)
        assert sentence in shown.reason
        assert shown.advice
        with refused("NO_DEVICE", pattern=f".*{reason}.*") as said:
            fit(client, forbid=True)
        assert str(FAKES) not in said.message, "a path of the server's in an error"
        assert health(client) == NOT_SERVING
        assert health(client, "") == SERVING
        logged = [json.loads(line) for line in server.said if '"gpu_absent"' in line or '"device_refused"' in line]
        assert any(line["reason"] == reason and sentence in line["why"] and line["advice"] == shown.advice for line in logged), logged
        told = subprocess.run([CLI, "server", "--address", server.unix], capture_output=True, text=True, timeout=60, check=True).stdout
        assert f"{reason}: {shown.reason}; {shown.advice}" in told
        assert in_python(server.unix) == {"state": state, "reason_name": reason, "reason": shown.reason, "advice": shown.advice}


@pytest.fixture
def plugins(folder: Path) -> Iterator[Path]:
    """A folder of plug-ins of one's own."""
    place = folder / "plugins"
    place.mkdir(mode=0o755)
    yield place


def copied(plugins: Path, name: str = "gpu") -> Path:
    shutil.copy(FAKES / name / FILE, plugins / FILE)
    return plugins / FILE


def test_no_plugin_is_a_reason(start: Start, plugins: Path) -> None:
    check_absent(start("--backend-dir", str(plugins)), "PLUGIN_MISSING", f"cannot open '{plugins}/{FILE}': No such file or directory")


@pytest.mark.parametrize("damage", ["cut short", "a text", "empty"])
def test_a_damaged_plugin_is_a_reason(start: Start, plugins: Path, damage: str) -> None:
    file = copied(plugins)
    file.write_bytes({"cut short": file.read_bytes()[:20000], "a text": b"#!/bin/sh\n" * 100, "empty": b""}[damage])
    check_absent(start("--backend-dir", str(plugins)), "PLUGIN_BROKEN", "it is cut short" if damage == "cut short" else "it is no ELF file")


def test_a_plugin_of_another_abi_is_a_reason(start: Start) -> None:
    check_absent(start("--backend-dir", str(FAKES / "abi")), "PLUGIN_ABI", "was built for ABI 1; this program has ABI")


def test_a_plugin_without_the_symbol_is_a_reason(start: Start) -> None:
    check_absent(start("--backend-dir", str(FAKES / "bare")), "PLUGIN_BROKEN", "undefined symbol: bary_plugin")


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_plugin_that_others_may_write_is_a_reason(start: Start, plugins: Path, what: str) -> None:
    file = copied(plugins)
    (file if what == "file" else plugins).chmod(0o777)
    check_absent(start("--backend-dir", str(plugins)), "PLUGIN_UNSAFE", "can be written by others (mode 0777), so it is not loaded")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_plugin_of_somebody_else_is_a_reason(start: Start, plugins: Path) -> None:
    os.chown(copied(plugins), 65534, 65534)
    check_absent(start("--backend-dir", str(plugins)), "PLUGIN_UNSAFE", "belongs to user 65534, and only root or user 0 may own it")


@pytest.mark.parametrize("reason", ["NO_DRIVER", "DRIVER_TOO_OLD", "DRIVER_BROKEN", "NO_DEVICE", "DEVICE_BUSY", "WRONG_ARCH"])
def test_a_driver_that_says_no_is_a_reason(start: Start, reason: str) -> None:
    check_absent(gpu(start, f"absent={reason}"), reason, "the fake driver said no with error 999")


@pytest.mark.parametrize(("reason", "state"), [("DEVICE_WRONG", "QUARANTINED"), ("WRONG_ARCH", "ABSENT"), ("DEVICE_BUSY", "ABSENT")])
def test_a_device_that_does_not_open_is_a_reason(start: Start, reason: str, state: str) -> None:
    check_absent(gpu(start, f"open={reason}"), reason, "the fake device said no to open", state)


def test_a_device_that_computes_wrong_results_is_quarantined(start: Start) -> None:
    check_absent(gpu(start, "fail=labels_read:6:WRONG"), "DEVICE_WRONG", "its results differ from the reference's", "QUARANTINED")


def test_a_device_that_works_is_shown_and_used(start: Start) -> None:
    server = gpu(start, f"devices=2 free=64000000000 memory=80000000000 {CHEAP}")
    with Client(server.unix) as client:
        first, second, cpu = devices(client)
        assert [(d.backend, d.index, d.state, d.reason_name) for d in (first, second, cpu)] == [
            ("cuda", 0, "OK", ""), ("cuda", 1, "OK", ""), ("cpu", 0, "OK", "")]  # fmt: skip
        assert first.name == "Fake GPU 0"
        assert first.build == "fake; kernels/ref"
        assert (first.memory_bytes, first.free_bytes, first.budget_bytes) == (80_000_000_000, 64_000_000_000, 62_000_000_000)
        assert first.pinned_budget_bytes > 0
        assert cpu.budget_bytes == 0
        assert health(client) == SERVING
        on_gpu, on_cpu = fit(client, forbid=True), fit(client, backend=t.BACKEND_CPU)
        assert (on_gpu.report.backend, on_gpu.report.device) == ("cuda", "Fake GPU 0")
        assert not on_gpu.report.fallbacks
        assert on_cpu.report.backend == "cpu"
        assert bits(on_gpu) == bits(on_cpu)
        assert fit(client, blobs(20000, 8, 4), backend=t.BACKEND_AUTO).report.backend == "cuda"
    lines = server.get("/metrics")[1]
    assert 'bary_device_budget_bytes{device="cuda:0",kind="device"} 62000000000' in lines
    assert 'bary_device_reserved_bytes{device="cuda:0",kind="device"} 0' in lines
    assert 'bary_device_state{device="cuda:1"} 0' in lines


def test_small_problems_stay_on_the_cpu(start: Start) -> None:
    with Client(gpu(start, "tile_ns=50000 copy_ns=50").unix) as client:
        job = fit(client, SMALL, backend=t.BACKEND_AUTO)
        assert job.report.backend == "cpu"
        assert not job.report.fallbacks


def test_a_job_goes_down_the_ladder_of_what_a_device_can_hold(start: Start) -> None:
    server = gpu(start, "free=40000")
    with Client(server.unix) as client:
        streamed, on_cpu = fit(client), fit(client, backend=t.BACKEND_CPU)
        assert streamed.report.backend == "cuda"
        assert [step.split(" (")[0] for step in streamed.report.fallbacks] == ["cuda:0 resident -> cuda:0 streamed: EXCEEDS_CAPACITY"]
        assert bits(streamed) == bits(on_cpu)
        with refused("EXCEEDS_CAPACITY", pattern=".*needs .* bytes; this server offers 20000 at most"):
            fit(client, forbid=True)
    assert 'bary_fallback_total{from="cuda:0 resident",to="cuda:0 streamed",reason="EXCEEDS_CAPACITY"} 1' in server.get("/metrics")[1]


def test_a_device_without_memory_after_all_is_left(start: Start) -> None:
    words = " ".join(f"fail=load:{n}:OUT_OF_MEMORY" for n in (1, 2, 3, 4))
    server = gpu(start, words)
    with Client(server.unix) as client:
        job, on_cpu = fit(client), fit(client, backend=t.BACKEND_CPU)
        assert [step.split(" (")[0] for step in job.report.fallbacks] == [
            "cuda:0 resident -> cuda:0 small tiles: OUT_OF_MEMORY",
            "cuda:0 small tiles -> cuda:0 streamed: OUT_OF_MEMORY",
            "cuda:0 -> cpu: OUT_OF_MEMORY",
        ]
        assert bits(job) == bits(on_cpu)
        failed = fit(client, forbid=True)
        assert (failed.state, failed.error.reason) == (t.JOB_STATE_FAILED, "OUT_OF_MEMORY")
        assert the_gpu(client).state == "OK"
        assert the_gpu(client).reserved_bytes == 0


def watch_health(client: Client, seen: list[tuple[float, int]]) -> None:
    stub = health_pb2_grpc.HealthStub(client.channel)
    with contextlib.suppress(Exception):
        for reply in stub.Watch(health_pb2.HealthCheckRequest(service="gpu"), timeout=60 * SLOWNESS):
            seen.append((time.monotonic(), reply.status))


@pytest.mark.parametrize("failure", ["DEVICE_LOST", "HANG"])
def test_a_lost_device_costs_no_job_and_no_bit(start: Start, failure: str) -> None:
    server = gpu(start, f"fail=assign:30:{failure} {CHEAP}")
    seen: list[tuple[float, int]] = []
    with Client(server.unix) as client:
        client.store(X, "kept")
        threading.Thread(target=watch_health, args=(client, seen), daemon=True).start()
        until(lambda: seen, "the first state of health")
        begun = time.monotonic()
        job = fit(client, max_iter=40, fixed_rounds=True)
        took = time.monotonic() - begun
        on_cpu = fit(client, backend=t.BACKEND_CPU, max_iter=40, fixed_rounds=True)
        assert job.report.backend == "cpu"
        assert job.report.fallbacks[0].startswith("cuda:0 -> cpu: DEVICE_LOST (")
        assert bits(job) == bits(on_cpu)
        assert took < 5 * SLOWNESS
        until(lambda: seen[-1][1] == NOT_SERVING, "NOT_SERVING to who watches", 1.0)
        assert health(client) == NOT_SERVING
        assert health(client, "") == SERVING
        lost = the_gpu(client)
        assert (lost.state, lost.reason_name) == ("SUSPECT", "DEVICE_LOST" if failure == "DEVICE_LOST" else "DEVICE_HUNG")
        assert "restart the server when it suits" in lost.advice
        with refused("NO_DEVICE", pattern=".*(DEVICE_LOST|DEVICE_HUNG).*"):
            fit(client, forbid=True)
        assert fit(client).report.backend == "cpu"
        assert client.fit("kept", 4).fit.rows == len(X)
    assert server.metric("device_errors_total") == 1
    page = server.get("/metrics")[1]
    assert 'bary_device_state{device="cuda:0"} 1' in page
    assert 'bary_fallback_total{from="cuda:0",to="cpu",reason="DEVICE_LOST"} 1' in page
    assert any('"device_lost"' in line for line in server.said)
    assert any('"fallback"' in line for line in server.said)


def test_without_a_fallback_a_lost_device_is_the_clients_to_know(start: Start) -> None:
    with Client(gpu(start, "fail=assign:3:DEVICE_LOST").unix) as client:
        job = fit(client, forbid=True, max_iter=5, fixed_rounds=True)
        assert (job.state, job.error.reason, job.error.code) == (t.JOB_STATE_FAILED, "DEVICE_LOST", "UNAVAILABLE")
        assert "cuda:0" in job.error.message
        assert "fake error 700 in assign" in job.error.message


def test_another_gpu_comes_before_the_cpu(start: Start) -> None:
    with Client(gpu(start, "devices=2 fail=assign@0:3:DEVICE_LOST").unix) as client:
        job = fit(client, max_iter=5, fixed_rounds=True)
        assert (job.report.backend, job.report.device) == ("cuda", "Fake GPU 1")
        assert job.report.fallbacks[0].startswith("cuda:0 -> cuda:1: DEVICE_LOST (fake error 700 in assign)")
        assert health(client) == SERVING, "one GPU is still well"
        assert bits(job) == bits(fit(client, backend=t.BACKEND_CPU, max_iter=5, fixed_rounds=True))


@pytest.mark.parametrize("failure", ["DEVICE_LOST", "HANG"])
def test_predict_and_evaluate_go_on_as_well(start: Start, failure: str) -> None:
    centers = np.array([[0.0, 0, 0], [5, 5, 5], [-5, 5, 0]])
    wanted = None
    for entry in ("distances", "labels_read", "begin"):
        with Client(gpu_named(start, entry, f"fail={entry}:1:{failure}").unix) as client:
            request = wire.clustering.PredictRequest(model=wire.model_ref(centers), source=wire.source(X))
            request.distances = True
            request.placement.backend = t.BACKEND_GPU
            got = client.clustering.Predict(request, timeout=30 * SLOWNESS)
            wanted = wanted or got
            assert (got.labels.data, got.distances.data) == (wanted.labels.data, wanted.distances.data)
            until(lambda client=client: the_gpu(client).state == "SUSPECT", "SUSPECT")


def gpu_named(start: Start, name: str, words: str) -> Server:
    server: Server = start("--backend-dir", str(FAKES / "gpu"), name=name, environment={"BARY_FAKE_GPU": words, **IMPATIENT})
    return server


def test_a_server_with_a_hanging_thread_drains_and_ends(start: Start) -> None:
    """The thread never comes back; the fixture's stop asserts exit code 0."""
    server = gpu(start, "fail=assign:1:HANG")
    with Client(server.unix) as client:
        assert fit(client).report.backend == "cpu"
    begun = time.monotonic()
    server.stop()
    assert time.monotonic() - begun < 10 * SLOWNESS


def test_a_server_ends_while_a_job_hangs(start: Start) -> None:
    server = gpu(start, "fail=assign:1:HANG", BARY_LIMITS_HANG_MS="3600000")
    with Client(server.unix) as client:
        request = fit_request(X, 4, random_state=3)
        request.placement.backend = t.BACKEND_GPU
        client.clustering.Fit(request, timeout=30)
        begun = time.monotonic()
        server.stop()
        assert time.monotonic() - begun < 15 * SLOWNESS


def test_a_busy_device_is_tried_again(start: Start) -> None:
    server = gpu(start, "open=DEVICE_BUSY*1", BARY_LIMITS_DEVICE_RETRY_S="1")
    with Client(server.unix) as client:
        assert the_gpu(client).reason_name in ("DEVICE_BUSY", "")
        until(lambda: the_gpu(client).state == "OK", "OK after a second try")
        assert health(client) == SERVING
        assert fit(client).report.backend == "cuda"


def test_a_device_that_hangs_in_open_keeps_nobody(start: Start) -> None:
    server = gpu(start, "fail=open:1:HANG", BARY_LIMITS_DEVICE_OPEN_MS="200")
    with Client(server.unix) as client:
        assert (the_gpu(client).state, the_gpu(client).reason_name) == ("OPENING", "DEVICE_HUNG")
        assert fit(client).report.backend == "cpu"
