"""A client that dies costs nothing: pins, ledger, descriptors and memory go back to what they were."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import wire
from reference import blobs
from server import SLOWNESS, Server, until
from wire import Client, dataset, fit_request, job, t

X = blobs(300, 2, 3)
DATA = np.random.default_rng(4).normal(size=(300_000, 8)).astype("float32")

# A client of its own process, so that it can be killed in the middle of a call.
DOOMED = textwrap.dedent("""
    import sys, time
    sys.path.insert(0, sys.argv[1])
    import numpy as np, wire
    from wire import Client, dataset, job, fit_request
    client, what, word = Client(sys.argv[2]), sys.argv[3], sys.argv[4]
    def endless():
        yield dataset.UploadRequest(upload_id=word)
        rows = np.zeros((20000, 8), "float32")
        for i in range(15):
            yield wire.chunk(i * 20000, rows.tobytes())
            if i == 5: print("there", flush=True)
            if i > 5: time.sleep(1)
    if what == "upload":
        client.dataset.Upload(endless())
    elif what == "watch":
        stream = client.job.Watch(job.WatchJobRequest(name=word)); next(stream); print("there", flush=True)
        for _ in stream: pass
    elif what == "unread":
        stream = client.clustering.PredictStream(iter([wire.clustering.PredictRequest(
            model=wire.model_ref(np.zeros((4, 8))), source=wire.source(word), distances=True)]))
        next(stream); print("there", flush=True); time.sleep(60)
    elif what == "wait":
        call = client.clustering.Fit.future(fit_request(np.random.default_rng(0).normal(size=(40000, 8)).astype("float32"),
            64, wait=50, max_iter=1000000, fixed_rounds=True), timeout=55)
        time.sleep(0.5); print("there", flush=True); call.result()
""")


def doomed(server: Server, what: str, word: str) -> None:
    """Lets a client come to the middle of a call, and kills it."""
    process = subprocess.Popen(
        [sys.executable, "-c", DOOMED, str(Path(__file__).parent), server.tcp, what, word],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    if line != "there\n":
        process.kill()
        raise AssertionError(process.communicate()[1])
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.fixture
def prepared(own: tuple[Server, Client]) -> tuple[Server, Client]:
    server, bary = own
    bary.store(DATA, "data")
    bary.fit(X, 3)
    return server, bary


def settled(server: Server, bary: Client, reserved: float, descriptors: int) -> None:
    """Everything is as before."""

    def pins() -> int:
        return sum(d.pins for d in bary.dataset.List(dataset.ListDatasetsRequest()).datasets)

    until(lambda: server.metric("jobs_running") == 0, "no job running", 20)
    until(lambda: pins() == 0, "no pin held", 20)
    until(lambda: server.metric("memory_reserved_bytes") == reserved, "the ledger as before", 20)
    until(lambda: server.descriptors() <= descriptors, "descriptors as before", 20)


def test_a_client_that_dies_in_an_upload(prepared: tuple[Server, Client]) -> None:
    server, bary = prepared
    before, descriptors = server.metric("memory_reserved_bytes"), server.descriptors()
    made = bary.dataset.Create(wire.create_request(DATA, "half"))
    doomed(server, "upload", made.upload_id)
    held = bary.upload(made.upload_id, DATA[:0])
    assert held.held_total >= 100_000
    bary.upload(made.upload_id, DATA[held.held_total :], first=held.held_total) if held.ranges > 1 else None
    bary.dataset.Delete(dataset.DeleteDatasetRequest(name="half"))
    settled(server, bary, before, descriptors)


def test_a_client_that_dies_while_it_watches(prepared: tuple[Server, Client]) -> None:
    server, bary = prepared
    before, descriptors = server.metric("memory_reserved_bytes"), server.descriptors()
    made = bary.clustering.Fit(fit_request("data", 16, max_iter=1_000_000, fixed_rounds=True)).name
    for _ in range(5):
        doomed(server, "watch", made)
    assert bary.job.Get(job.GetJobRequest(name=made)).state == t.JOB_STATE_RUNNING
    bary.job.Cancel(job.CancelJobRequest(name=made))
    settled(server, bary, before, descriptors)


def test_a_client_that_reads_no_reply(prepared: tuple[Server, Client]) -> None:
    server, bary = prepared
    before, descriptors, memory = server.metric("memory_reserved_bytes"), server.descriptors(), server.memory()
    doomed(server, "unread", "data")
    settled(server, bary, before, descriptors)
    assert SLOWNESS > 1 or server.memory() < memory + (64 << 20)


def test_a_client_that_dies_waiting_for_its_ephemeral_fit(prepared: tuple[Server, Client]) -> None:
    server, bary = prepared
    before, descriptors = server.metric("memory_reserved_bytes"), server.descriptors()
    doomed(server, "wait", "")
    settled(server, bary, before, descriptors)


@pytest.mark.skipif(SLOWNESS > 1, reason="a sanitizer keeps freed memory: peaks say nothing")
def test_memory_stays_flat_over_many_calls(own: tuple[Server, Client]) -> None:
    server, bary = own

    def round_of_calls(count: int) -> None:
        for i in range(count):
            bary.fit(X, 3, random_state=i)
            bary.clustering.Predict(wire.clustering.PredictRequest(model=wire.model_ref(X[:3]), source=wire.source(X)))
            bary.store(X, "again")
            bary.dataset.Delete(dataset.DeleteDatasetRequest(name="again"))
            stream = bary.job.List.future(job.ListJobsRequest())
            stream.cancel()
            with Client(server.tcp) as other:
                other.server.GetServer(wire.server.GetServerRequest())

    round_of_calls(50)
    memory, descriptors = server.memory(), server.descriptors()
    round_of_calls(50)
    assert server.memory() < memory + (8 << 20)
    until(lambda: server.descriptors() <= descriptors + 2, "descriptors flat")
    assert server.metric("memory_reserved_bytes") == 0


def test_finished_jobs_are_forgotten_when_there_are_too_many(start: object) -> None:
    server = start(environment={"BARY_LIMITS_FINISHED_JOBS": "5"})
    with Client(server.unix) as bary:
        made = [bary.fit(X, 2, model="m").name for _ in range(12)]
        kept = [j.name for j in bary.job.List(job.ListJobsRequest(page_size=100)).jobs]
        assert kept == made[::-1][:5]
        assert server.metric("memory_reserved_bytes") == 0


def test_an_idle_upload_is_given_up(start: object) -> None:
    server = start(environment={"BARY_LIMITS_UPLOAD_IDLE_S": "1"})
    with Client(server.unix) as bary:
        made = bary.dataset.Create(wire.create_request(DATA, "idle"))
        assert server.metric("memory_reserved_bytes") >= DATA.nbytes
        time.sleep(1)
        until(lambda: server.metric("memory_reserved_bytes") == 0, "its memory given back", 20)
        with wire.refused("UPLOAD_NOT_FOUND"):
            bary.upload(made.upload_id, DATA[:10])


def test_a_job_cancelled_in_the_queue_gives_its_dataset_back(prepared: tuple[Server, Client]) -> None:
    server, bary = prepared
    running = bary.clustering.Fit(fit_request("data", 16, max_iter=1_000_000, fixed_rounds=True)).name
    until(lambda: server.metric("jobs_running") == 1, "running")
    held = server.metric("memory_reserved_bytes")
    bary.store(DATA, "waits")
    queued = bary.clustering.Fit(fit_request("waits", 16)).name
    bary.dataset.Delete(dataset.DeleteDatasetRequest(name="waits"))
    assert server.metric("memory_reserved_bytes") >= held + DATA.nbytes
    bary.job.Cancel(job.CancelJobRequest(name=queued))
    until(lambda: server.metric("memory_reserved_bytes") == held, "its dataset's memory given back", 5)
    bary.job.Cancel(job.CancelJobRequest(name=running))
