"""A wall clock that jumps by hours and years: nothing ends early, nothing gets stuck, no time is negative."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import wire
from reference import blobs
from server import SLOWNESS, Server, until
from wire import Client, dataset, fit_request, job, model, t

LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
X = blobs(300, 3, 4, dtype="float32")
YEARS = {"+10y": 10, "-10y": -10}
JUMPS = ["+1h", "-1h", "+10y", "-10y", "+0"]
pytestmark = [
    pytest.mark.skipif(not LIBRARY.exists(), reason="libfaketime is not installed"),
    pytest.mark.skipif(SLOWNESS > 1, reason="a sanitizer and a preloaded library do not mix"),
]


def faked(start: object, folder: Path, *arguments: str) -> tuple[Server, Path]:
    """A server of which the wall clock, and no other, is what the file says."""
    clock = folder / "clock"
    clock.write_text("+0\n")
    environment = {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    return start(*arguments, environment=environment), clock


def test_jumps_of_the_clock_end_nothing_early_and_hold_nothing_up(start: object, folder: Path) -> None:
    server, clock = faked(start, folder, "--limits-dataset-ttl-s", "3600", "--limits-upload-idle-s", "60")
    rows = np.random.default_rng(1).normal(size=(50_000, 8)).astype("float32")
    with Client(server.unix) as client:
        client.store(rows, "kept")
        client.fit(X, 3, model="kept")
        opened = client.dataset.Create(wire.create_request(rows, "open"))
        want = client.fit(X, 4, random_state=1).fit
        running = client.clustering.Fit(fit_request("kept", 8, max_iter=1_000_000, fixed_rounds=True))
        until(lambda: server.metric("jobs_running") == 1, "running")
        for jump in JUMPS:
            clock.write_text(f"{jump}\n")
            found = client.fit(X, 4, random_state=1, wait=20)
            assert found.fit.cluster_centers == want.cluster_centers, jump
            assert client.dataset.Get(dataset.GetDatasetRequest(name="kept")).state == dataset.DATASET_STATE_SEALED, jump
            assert client.model.Get(model.GetModelRequest(name="kept")).name, jump
            assert client.job.Get(job.GetJobRequest(name=running.name)).state == t.JOB_STATE_RUNNING, jump
            assert round((found.created.ToDatetime() - datetime.utcnow()).days / 365.25) == YEARS.get(jump, 0), jump
            report = found.report
            times = (report.queue_ns, report.prepare_ns, report.compute_ns, report.serialize_ns)
            assert min(times) >= 0, (jump, times)
            assert max(times) < 60e9, (jump, times)
        client.job.Cancel(job.CancelJobRequest(name=running.name))
        until(lambda: client.job.Get(job.GetJobRequest(name=running.name)).state == t.JOB_STATE_CANCELLED, "cancelled")
        assert client.dataset.Get(dataset.GetDatasetRequest(name=opened.name)).state == dataset.DATASET_STATE_OPEN
    server.must_be_clean()


def test_a_restart_in_another_year_keeps_what_was_kept(start: object, folder: Path) -> None:
    server, clock = faked(start, folder)
    with Client(server.unix) as client:
        first = client.fit(X, 3, model="kept").fit
    for jump in ("-10y", "+10y"):
        server.stop()
        clock.write_text(f"{jump}\n")
        server.start()
        with Client(server.unix) as client:
            held = client.model.Get(model.GetModelRequest(name="kept"))
            assert held.name == first.model, jump
            again = client.fit(X, 3, model="kept").fit
            assert again.cluster_centers == first.cluster_centers, jump
            predicted = client.clustering.Predict(wire.clustering.PredictRequest(model=wire.model_ref("kept"), source=wire.source(X)))
            assert predicted.labels.rows == len(X), jump
            first = again
    server.must_be_clean()
