"""The GPU plug-in's own files behind a server, run by the emulator: the same bits, the same words, whatever its driver does.

Where the real plug-in was built and there is no GPU, it says NO_DRIVER.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wire
from reference import blobs
from server import BARYD, SLOWNESS, Server, until
from wire import Client, fit_request, refused, t

BUILD = Path(BARYD).resolve().parents[1] if BARYD else Path()
EMULATED = BUILD / "tests/cuemu/libbary_cuemu.so"
REAL = Path(os.environ.get("BARY_CUDA_PLUGIN", BUILD / "kernels/cuda/libbary_cuda.so"))
X = blobs(400, 3, 4)
IMPATIENT = {"BARY_LIMITS_HANG_MS": "2000", "BARY_LIMITS_HANG_FACTOR": "1"}

emulated = pytest.mark.skipif(not EMULATED.exists(), reason="the emulated plug-in is not built")

Start = Callable[..., Server]


@pytest.fixture
def gpu(start: Start, folder: Path) -> Callable[..., Server]:
    """A server with the emulated GPU, whose driver does what the words say."""
    plugins = folder / "plugins"
    plugins.mkdir(mode=0o755)
    shutil.copy(EMULATED, plugins / "libbary_cuda.so")

    def start_one(**words: str) -> Server:
        return start("--backend-dir", str(plugins), environment={**IMPATIENT, **words})

    return start_one


def fit(client: Client, *, backend: int = t.BACKEND_GPU, forbid: bool = False, **parameters: Any) -> Any:
    request = fit_request(X, 4, wait=50 * SLOWNESS, random_state=3, **parameters)
    request.placement.backend = backend
    request.placement.forbid_fallback = forbid
    return client.clustering.Fit(request, timeout=55 * SLOWNESS)


def bits(job: Any) -> tuple[object, ...]:
    return job.fit.cluster_centers.data, job.fit.labels.data, job.fit.inertia, job.fit.n_iter


def the_gpu(client: Client) -> Any:
    return next(d for d in client.server.GetServer(wire.server.GetServerRequest()).devices if d.backend != "cpu")


@emulated
def test_fits_predictions_and_inertia_are_the_cpus(gpu: Callable[..., Server]) -> None:
    with Client(gpu().unix) as client:
        device = the_gpu(client)
        assert (device.state, device.name, device.reason_name) == ("OK", "cuemu", "")
        assert device.budget_bytes > 0
        for parameters in ({}, {"init": t.INIT_RANDOM}, {"max_iter": 7, "fixed_rounds": True}, {"history": True, "n_init": 2}):
            one, other = fit(client, forbid=True, **parameters), fit(client, backend=t.BACKEND_CPU, **parameters)
            assert (one.report.backend, list(one.report.fallbacks)) == (device.backend, [])
            assert bits(one) == bits(other), parameters
        centers = np.array([[0.0, 0, 0], [5, 5, 5], [-5, 5, 0]])
        replies = []
        for backend in (t.BACKEND_GPU, t.BACKEND_CPU):
            request = wire.clustering.PredictRequest(model=wire.model_ref(centers), source=wire.source(X), distances=True)
            request.placement.backend = backend
            replies.append(client.clustering.Predict(request, timeout=30 * SLOWNESS))
        assert [r.report.backend for r in replies] == [device.backend, "cpu"]
        assert replies[0].labels == replies[1].labels
        assert replies[0].distances == replies[1].distances


@emulated
@pytest.mark.parametrize(
    ("driver", "reason", "state"),
    [
        ("none", "NO_DRIVER", "ABSENT"),
        ("stub", "NO_DRIVER", "ABSENT"),
        ("old", "DRIVER_TOO_OLD", "ABSENT"),
        ("broken", "DRIVER_BROKEN", "ABSENT"),
        ("no_device", "NO_DEVICE", "ABSENT"),
        ("busy", "DEVICE_BUSY", "ABSENT"),
        ("wrong_arch", "WRONG_ARCH", "ABSENT"),
    ],
)
def test_a_driver_that_says_no_is_a_reason(gpu: Callable[..., Server], driver: str, reason: str, state: str) -> None:
    with Client(gpu(CUEMU_DRIVER=driver).unix) as client:
        assert (the_gpu(client).state, the_gpu(client).reason_name) == (state, reason)
        assert the_gpu(client).reason
        assert fit(client).report.backend == "cpu"
        with refused("NO_DEVICE", pattern=f".*{reason}.*"):
            fit(client, forbid=True)


@emulated
def test_a_device_that_computes_wrong_results_is_quarantined(gpu: Callable[..., Server]) -> None:
    with Client(gpu(CUEMU_WRONG="2").unix) as client:
        assert (the_gpu(client).state, the_gpu(client).reason_name) == ("QUARANTINED", "DEVICE_WRONG")
        assert fit(client).report.backend == "cpu"


@emulated
def test_a_device_that_turns_wrong_leads_nobody_astray(gpu: Callable[..., Server]) -> None:
    """From some launch behind the self-test on each has a bit flipped; what shows it ends the device, and no more."""
    with Client(gpu(CUEMU_WRONG=f"{launches('launch')}+").unix) as client:
        assert the_gpu(client).state == "OK", the_gpu(client).reason
        wanted = bits(fit(client, backend=t.BACKEND_CPU, max_iter=20, fixed_rounds=True))
        for _ in range(300):
            if the_gpu(client).state != "OK":
                break
            job = fit(client, max_iter=20, fixed_rounds=True)
            assert job.state in (t.JOB_STATE_SUCCEEDED, t.JOB_STATE_FAILED)
        assert (the_gpu(client).state, the_gpu(client).reason_name) == ("QUARANTINED", "DEVICE_WRONG")
        after = fit(client, max_iter=20, fixed_rounds=True)
        assert (bits(after), after.report.backend) == (wanted, "cpu")


def launches(kind: str) -> int:
    """How many calls of a kind the start takes, so that a failure can be put behind them: the first that is harmless."""
    return {"launch": 3000, "sync": 1500, "copy": 1500}[kind]


@emulated
@pytest.mark.parametrize("what", ["launch:{}:700", "sync:{}:719", "copy:{}:214"])
def test_a_device_lost_while_it_runs_costs_no_bit(gpu: Callable[..., Server], what: str) -> None:
    """The failure lies somewhere behind the self-test: fits run until one of them meets it."""
    with Client(gpu(CUEMU_FAIL=what.format(launches(what.split(":")[0]))).unix) as client:
        assert the_gpu(client).state == "OK", the_gpu(client).reason
        wanted = bits(fit(client, backend=t.BACKEND_CPU, max_iter=20, fixed_rounds=True))
        for _ in range(200):
            job = fit(client, max_iter=20, fixed_rounds=True)
            assert bits(job) == wanted
            if job.report.backend == "cpu":
                break
        assert job.report.fallbacks[0].startswith(f"{the_gpu(client).backend}:0 -> cpu: DEVICE_LOST ("), list(job.report.fallbacks)
        assert (the_gpu(client).state, the_gpu(client).reason_name) == ("SUSPECT", "DEVICE_LOST")


@emulated
def test_a_device_that_hangs_is_given_up(gpu: Callable[..., Server]) -> None:
    with Client(gpu(CUEMU_HANG="1500").unix) as client:
        assert the_gpu(client).state == "OK", the_gpu(client).reason
        wanted = bits(fit(client, backend=t.BACKEND_CPU, max_iter=20, fixed_rounds=True))
        for _ in range(200):
            job = fit(client, max_iter=20, fixed_rounds=True)
            assert bits(job) == wanted
            if job.report.backend == "cpu":
                break
        assert "DEVICE_LOST (a call did not come back" in job.report.fallbacks[0]
        until(lambda: the_gpu(client).reason_name == "DEVICE_HUNG", "DEVICE_HUNG")


@pytest.mark.skipif(not REAL.exists() or os.path.exists("/dev/nvidiactl"), reason="no real plug-in, or a GPU")
def test_the_real_plugin_without_a_driver_says_so(start: Start) -> None:
    with Client(start("--backend-dir", str(REAL.parent)).unix) as client:
        assert (the_gpu(client).state, the_gpu(client).reason_name) == ("ABSENT", "NO_DRIVER")
        assert fit(client).report.backend == "cpu"
