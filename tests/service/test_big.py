"""Sizes that matter: two gigabytes in, ten million rows fitted and stopped in time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import wire
from server import Server, crowding, until
from wire import Client, dataset, fit_request, job, t

MIB = 1 << 20
GIB = 1 << 30


def free_memory() -> int:
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024


def send(server: Server, upload_id: str, first: int, last: int, payload: bytes, rows: int) -> None:
    """Chunks first .. last - 1, all of the same bytes, over a connection of their own."""
    crc = wire.crc32c(payload)

    def messages() -> object:
        yield dataset.UploadRequest(upload_id=upload_id)
        for i in range(first, last):
            yield dataset.UploadRequest(offset=i * rows, payload=payload, crc32c=crc)

    with Client(server.unix) as client:
        client.dataset.Upload(messages(), timeout=300)


def fill(server: Server, upload_id: str, chunks: int, payload: bytes, rows: int) -> float:
    """Four streams, as our clients open; seconds."""
    begun, part = time.monotonic(), chunks // 4
    with ThreadPoolExecutor(4) as pool:
        cuts = [0, part, 2 * part, 3 * part, chunks]
        for done in [pool.submit(send, server, upload_id, a, b, payload, rows) for a, b in zip(cuts, cuts[1:], strict=False)]:
            done.result()
    return time.monotonic() - begun


@pytest.mark.alone
@pytest.mark.big
def test_two_gigabytes_are_taken_in_bounded_memory(start: object) -> None:
    total, chunk_bytes = 2 * GIB, 2 * MIB
    if free_memory() < total + GIB:
        pytest.skip(f"{free_memory() >> 20} MiB of memory are free; 3072 are needed")
    server = start()
    rows = chunk_bytes // 64
    payload = np.random.default_rng(0).normal(size=(rows, 16)).astype("float32").tobytes()
    column = t.Column(name="x", dtype=t.DTYPE_F32, width=16)
    with Client(server.unix) as bary:
        before = server.memory("VmHWM")
        made = bary.dataset.Create(
            dataset.CreateDatasetRequest(id="two", encoding=dataset.ENCODING_BLOCKS, schema=t.Schema(columns=[column]), rows=total // 64)
        )
        seconds = fill(server, made.upload_id, total // chunk_bytes, payload, rows)
        begun = time.monotonic()
        done = bary.dataset.Commit(dataset.CommitDatasetRequest(upload_id=made.upload_id), timeout=60)
        print(f"2 GiB in {seconds:.1f} s ({2.147 / seconds:.2f} GB/s), commit {time.monotonic() - begun:.2f} s")
        assert done.state == dataset.DATASET_STATE_SEALED
        assert done.bytes == total
        grown = server.memory("VmHWM") - before
        print(f"VmHWM grew by {grown / MIB:.0f} MiB over {total / MIB:.0f} of data")
        assert grown < total + 64 * MIB
        bary.dataset.Delete(dataset.DeleteDatasetRequest(name="two"))
        until(lambda: server.memory() < before + 128 * MIB, "its memory given back to the system")


@pytest.mark.alone
@pytest.mark.big
def test_ten_million_rows_are_fitted_with_progress_and_cancelled_in_time(start: object) -> None:
    rows, columns = 10_000_000, 16
    if free_memory() < rows * columns * 4 * 2 + GIB:
        pytest.skip(f"{free_memory() >> 20} MiB of memory are free; 2304 are needed")
    server = start()
    chunk_rows = 20_000
    payload = np.random.default_rng(0).normal(size=(chunk_rows, columns)).astype("float32").tobytes()
    with Client(server.unix) as bary:
        column = t.Column(name="x", dtype=t.DTYPE_F32, width=columns)
        made = bary.dataset.Create(
            dataset.CreateDatasetRequest(id="ten", encoding=dataset.ENCODING_BLOCKS, schema=t.Schema(columns=[column]), rows=rows)
        )
        fill(server, made.upload_id, rows // chunk_rows, payload, chunk_rows)
        bary.dataset.Commit(dataset.CommitDatasetRequest(upload_id=made.upload_id), timeout=60)
        held = server.metric("memory_reserved_bytes")
        for at in ("FIT_STAGE_FACTS", "FIT_STAGE_SEEDING", "FIT_STAGE_ROUNDS"):
            took = cancelled_at(bary, at)
            print(f"cancelled at {at} in {took * 1e3:.0f} ms")
            assert took < 0.1 * crowding()
            until(lambda: server.metric("memory_reserved_bytes") == held, "all bytes returned")


def cancelled_at(bary: Client, stage: str) -> float:
    """Starts a fit, waits until it is in that stage, cancels: seconds until it is over."""
    fit = bary.clustering.Fit(fit_request("ten", 8, max_iter=1000, fixed_rounds=True, init=t.INIT_KMEANS_PLUS_PLUS))
    seen: list[object] = []
    there = threading.Event()

    def watch() -> None:
        for update in bary.job.Watch(job.WatchJobRequest(name=fit.name), timeout=300):
            seen.append(update)
            if update.state == t.JOB_STATE_RUNNING and update.progress.stage >= t.FitStage.Value(stage):
                there.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert there.wait(200)
    begun = time.monotonic()
    bary.job.Cancel(job.CancelJobRequest(name=fit.name))
    done = bary.job.Wait(job.WaitJobRequest(name=fit.name), timeout=30)
    took = time.monotonic() - begun
    watcher.join(30)
    assert done.state == t.JOB_STATE_CANCELLED
    assert seen[-1].state == t.JOB_STATE_CANCELLED
    assert all(update.progress.rows in (0, 10_000_000) for update in seen)
    return took
