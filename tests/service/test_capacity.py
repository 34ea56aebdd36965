"""Whatever can grow has a limit, and an answer for the day it is full."""

from __future__ import annotations

import threading
import time

import grpc
import numpy as np
import pytest
import wire
from reference import blobs
from server import Server, crowding, rows_for, until
from wire import Client, array, dataset, fit_request, job, refused, t

X = blobs(300, 2, 3)
NOISE = np.random.default_rng(4).normal(size=(200_000, 8)).astype("float32")
MIB = 1 << 20


def endless(bary: Client, name: str, **fields: object) -> object:
    return bary.clustering.Fit(fit_request(name, 32, max_iter=1_000_000, fixed_rounds=True, **fields))


def cancel_all(bary: Client, *names: str) -> None:
    for name in names:
        bary.job.Cancel(job.CancelJobRequest(name=name))
    for name in names:
        bary.job.Wait(job.WaitJobRequest(name=name), timeout=50)


def test_a_full_queue_answers_at_once_and_says_when(start: object) -> None:
    server = start(environment={"BARY_LIMITS_QUEUED_JOBS": "3"})
    with Client(server.unix) as bary:
        bary.store(NOISE, "noise")
        made = [endless(bary, "noise").name]
        until(lambda: server.metric("jobs_running") == 1, "running")
        made += [endless(bary, "noise").name for _ in range(3)]
        begun = time.monotonic()
        with refused("QUEUE_FULL") as error:
            endless(bary, "noise")
        assert time.monotonic() - begun < 1
        assert error.metadata["jobs"] == "3"
        assert int(error.metadata["retry_ms"]) > 0
        assert server.metric("queue_depth") >= 3
        assert bary.fit(X, 3).state == t.JOB_STATE_SUCCEEDED, "the fast lane is another queue"
        cancel_all(bary, *made[::-1])
        assert bary.fit("noise", 2, max_iter=1).state == t.JOB_STATE_SUCCEEDED


def test_pushback_comes_as_a_trailer_too(start: object) -> None:
    server = start(environment={"BARY_LIMITS_QUEUED_JOBS": "1"})
    with Client(server.unix) as bary:
        bary.store(NOISE, "noise")
        made = [endless(bary, "noise").name]
        until(lambda: server.metric("jobs_running") == 1, "running")
        made.append(endless(bary, "noise").name)
        with pytest.raises(grpc.RpcError) as caught:
            endless(bary, "noise")
        trailers = dict(caught.value.trailing_metadata())
        assert int(trailers["grpc-retry-pushback-ms"]) == int(wire.must_be_well_formed(caught.value).metadata["retry_ms"])
        cancel_all(bary, *made)


def test_what_can_never_fit_is_refused_at_once_with_its_numbers(start: object) -> None:
    server = start("--memory", str(320 * MIB))
    with Client(server.unix) as bary:
        with refused("EXCEEDS_CAPACITY") as error:
            bary.dataset.Create(big_request(rows=1 << 20))
        assert int(error.metadata["needed"]) >= (1 << 20) * 8000
        assert 0 < int(error.metadata["offered"]) <= 320 * MIB
        assert server.metric("memory_reserved_bytes") == 0


def big_request(rows: int, columns: int = 1000) -> object:
    column = t.Column(name="x", dtype=t.DTYPE_F64, width=columns)
    return dataset.CreateDatasetRequest(encoding=dataset.ENCODING_BLOCKS, schema=t.Schema(columns=[column]), rows=rows)


def test_a_fit_that_cannot_fit_is_refused(start: object) -> None:
    """The data fit, but its rows' labels and the sums of 2^20 clusters do not."""
    server = start("--memory", str(320 * MIB))
    with Client(server.unix) as bary:
        budget = int(server.metric("memory_budget_bytes"))
        rows = min(1 << 20, budget // 40)
        data = np.random.default_rng(0).normal(size=(rows, 4)).astype("float32")
        bary.store(data, "d")
        held = server.metric("memory_reserved_bytes")
        with refused("EXCEEDS_CAPACITY") as error:
            bary.clustering.Fit(fit_request("d", rows))
        assert int(error.metadata["needed"]) > int(error.metadata["offered"])
        assert server.metric("memory_reserved_bytes") == held


def test_memory_that_is_taken_now_is_pressure_and_passes(start: object) -> None:
    server = start("--memory", str(320 * MIB))
    with Client(server.unix) as bary:
        budget = int(server.metric("memory_budget_bytes"))
        rows = budget * 6 // 10 // 8000
        one = bary.dataset.Create(big_request(rows=rows))
        with refused("MEMORY_PRESSURE") as error:
            bary.dataset.Create(big_request(rows=rows))
        assert int(error.metadata["budget"]) == budget
        assert int(error.metadata["free"]) < int(error.metadata["needed"])
        bary.dataset.Delete(dataset.DeleteDatasetRequest(name=one.name))
        assert bary.dataset.Create(big_request(rows=rows)).state == dataset.DATASET_STATE_OPEN


def test_objects_are_counted(start: object) -> None:
    server = start(environment={"BARY_LIMITS_OBJECTS": "3"})
    with Client(server.unix) as bary:
        bary.store(X, "a")
        bary.store(X, "b")
        bary.fit(X, 3, model="m")
        with refused("QUOTA_OBJECTS", "the namespace holds 3 datasets and models, its limit"):
            bary.store(X, "c")
        bary.dataset.Delete(dataset.DeleteDatasetRequest(name="a"))
        assert bary.store(X, "c").rows == 300


def test_watchers_are_counted(start: object) -> None:
    server = start(environment={"BARY_LIMITS_WATCHERS_PER_JOB": "2"})
    with Client(server.unix) as bary:
        bary.store(NOISE, "noise")
        made = endless(bary, "noise").name
        streams = [bary.job.Watch(job.WatchJobRequest(name=made), timeout=60) for _ in range(2)]
        for stream in streams:
            next(stream)
        with refused("TOO_MANY") as error:
            next(bary.job.Watch(job.WatchJobRequest(name=made), timeout=60))
        assert error.metadata["count"] == "2"
        streams[0].cancel()

        def watched() -> bool:
            try:
                next(bary.job.Watch(job.WatchJobRequest(name=made), timeout=60))
            except grpc.RpcError:
                return False
            return True

        until(watched, "a seat free again")
        cancel_all(bary, made)


def test_upload_streams_are_counted(start: object) -> None:
    server = start(environment={"BARY_LIMITS_UPLOAD_STREAMS": "1"})
    with Client(server.unix) as bary:
        made = bary.dataset.Create(wire.create_request(X))
        leave = threading.Event()

        def held() -> object:
            yield dataset.UploadRequest(upload_id=made.upload_id)
            yield wire.chunk(0, X[:100].tobytes())
            leave.wait(20)
            yield wire.chunk(100, X[100:].tobytes())

        call = bary.dataset.Upload.future(held(), timeout=60)
        until(lambda: server.metric("upload_bytes_total") >= X[:100].nbytes, "the first chunk held")
        with refused("TOO_MANY"):
            bary.upload(made.upload_id, X)
        leave.set()
        assert call.result(timeout=30).held_total == 300


def test_calls_beyond_the_limit_are_refused_and_nothing_hangs(start: object) -> None:
    server = start(environment={"BARY_LIMITS_CALLS": "4"})
    with Client(server.unix) as bary:
        bary.store(NOISE, "noise")
        made = endless(bary, "noise").name
        waits = [bary.job.Wait.future(job.WaitJobRequest(name=made), timeout=3) for _ in range(12)]
        codes = []
        for call in waits:
            try:
                codes.append(call.result(timeout=20).state)
            except grpc.RpcError as error:
                assert error.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)
                codes.append(wire.must_be_well_formed(error).reason)
        assert "TOO_MANY" in codes or "QUEUE_FULL" in codes
        assert t.JOB_STATE_RUNNING in codes
        cancel_all(bary, made)


def test_two_fits_at_once_give_the_bits_of_each_alone(bary: Client) -> None:
    names = ("pair-a", "pair-b")
    for i, name in enumerate(names):
        bary.store(np.random.default_rng(i).normal(size=(rows_for(150_000), 6)).astype("float32"), name)
    ask = {"max_iter": 25, "fixed_rounds": True, "random_state": 5}
    alone = [bary.fit(name, 12, wait=50, **ask).fit for name in names]
    made = [bary.clustering.Fit(fit_request(name, 12, **ask)).name for name in names]
    small = [bary.fit(X, 3).fit.label_fingerprint for _ in range(20)]
    both = [bary.job.Wait(job.WaitJobRequest(name=name), timeout=55).fit for name in made]
    for one, two in zip(alone, both, strict=True):
        assert one.cluster_centers == two.cluster_centers
        assert one.labels == two.labels
        assert (one.inertia, one.n_iter, one.label_fingerprint) == (two.inertia, two.n_iter, two.label_fingerprint)
    assert len(set(small)) == 1


def test_many_clients_at_once_get_right_answers(bary: Client, shared: Server) -> None:
    want = bary.fit(X, 3, random_state=1).fit
    wrong: list[object] = []

    def ask() -> None:
        with Client(shared.tcp) as client:
            for _ in range(25):
                got = client.fit(X, 3, random_state=1).fit
                if (got.inertia, got.labels.data) != (want.inertia, want.labels.data):
                    wrong.append(got)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert not wrong
    assert array(want.labels).size == 300


@pytest.mark.alone
def test_small_calls_are_served_beside_a_long_fit(own: tuple[Server, Client]) -> None:
    server, bary = own
    bary.fit(X, 3, model="small")
    request = wire.clustering.PredictRequest(model=wire.model_ref("small"), source=wire.source(X[:10]))

    def p99(count: int = 200) -> float:
        times = []
        for _ in range(count):
            begun = time.monotonic()
            bary.clustering.Predict(request)
            times.append(time.monotonic() - begun)
        return sorted(times)[int(count * 0.99) - 1]

    alone = p99()
    bary.store(np.random.default_rng(4).normal(size=(2_000_000, 16)).astype("float32"), "long")
    made = endless(bary, "long").name
    until(lambda: server.metric("jobs_running") == 1, "running")
    beside = p99()
    cancel_all(bary, made)
    print(f"p99 of Predict: alone {alone * 1e3:.2f} ms, beside a fit {beside * 1e3:.2f} ms")
    assert beside < 0.1 * crowding(), f"{beside * 1e3:.1f} ms"
    until(lambda: server.metric("jobs_running") == 0, "none running")
