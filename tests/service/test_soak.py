"""Mixed load, clients that leave, limits hit: memory, descriptors and the ledger stay where they were."""

from __future__ import annotations

import os
import random
import threading
import time

import grpc
import numpy as np
import pytest
import wire
from reference import blobs
from server import Server, until
from wire import Client, dataset, fit_request, job, model

MINUTES = float(os.environ.get("BARY_SOAK_MINUTES", "0.2"))
SEED = int(os.environ.get("BARY_SOAK_SEED", "1"))
SMALL = blobs(300, 3, 4, dtype="float32")
LARGE = np.random.default_rng(0).normal(size=(60_000, 8)).astype("float32")


class User(threading.Thread):
    """Does one thing after another, some of them wrong, some left in the middle."""

    def __init__(self, server: Server, seed: int) -> None:
        super().__init__(daemon=True)
        self.server, self.chance, self.seed = server, random.Random(seed), seed
        self.leave, self.done, self.refused = False, 0, 0
        self.broken: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.leave:
                with Client(self.server.tcp if self.seed % 2 else self.server.unix) as client:
                    for _ in range(self.chance.randint(1, 20)):
                        self.step(client)
        except BaseException as error:
            self.broken = error

    def step(self, client: Client) -> None:
        self.done += 1
        try:
            self.chance.choice([self.fit, self.keep, self.upload, self.wrong, self.cancelled, self.left])(client)
        except grpc.RpcError as error:
            self.refused += 1
            if error.code() not in (grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED):
                found = wire.must_be_well_formed(error)
                assert found.code != "INTERNAL", found.message

    def fit(self, client: Client) -> None:
        client.fit(SMALL, self.chance.randint(1, 8), random_state=self.chance.randint(0, 9))

    def keep(self, client: Client) -> None:
        name = f"soak-{self.seed}"
        client.fit(SMALL, 3, model=name)
        client.clustering.Predict(wire.clustering.PredictRequest(model=wire.model_ref(name), source=wire.source(SMALL)))
        client.model.Delete(model.DeleteModelRequest(name=name))

    def upload(self, client: Client) -> None:
        made = client.store(LARGE)
        list(client.clustering.PredictStream(iter([stream_request(made.name)]), timeout=30))
        client.dataset.Delete(dataset.DeleteDatasetRequest(name=made.name))

    def wrong(self, client: Client) -> None:
        client.fit(SMALL, self.chance.choice([0, -1, 10_000]))

    def cancelled(self, client: Client) -> None:
        made = client.store(LARGE)
        fit = client.clustering.Fit(fit_request(made.name, 8, max_iter=10_000, fixed_rounds=True))
        client.dataset.Delete(dataset.DeleteDatasetRequest(name=made.name))
        next(client.job.Watch(job.WatchJobRequest(name=fit.name), timeout=30))
        client.job.Cancel(job.CancelJobRequest(name=fit.name))

    def left(self, client: Client) -> None:
        call = client.clustering.Fit.future(fit_request(LARGE[:20_000], 8, max_iter=10_000, fixed_rounds=True, wait=20), timeout=30)
        time.sleep(self.chance.uniform(0, 0.2))
        call.cancel()


def stream_request(name: str) -> object:
    return wire.clustering.PredictRequest(model=wire.model_ref(LARGE[:4].astype("float64")), source=wire.source(name))


def load(server: Server, seconds: float, seed: int) -> tuple[int, int]:
    users = [User(server, seed * 100 + i) for i in range(6)]
    for user in users:
        user.start()
    time.sleep(seconds)
    for user in users:
        user.leave = True
    for user in users:
        user.join(120)
        assert not user.is_alive(), "a call hangs"
        if user.broken is not None:
            raise user.broken
    return sum(user.done for user in users), sum(user.refused for user in users)


@pytest.mark.alone
def test_a_mixed_load_leaves_nothing_behind(start: object) -> None:
    server: Server = start(environment={"BARY_LIMITS_QUEUED_JOBS": "8", "BARY_LIMITS_FINISHED_JOBS": "50"})
    load(server, 60 * MINUTES / 3, SEED)
    until(lambda: server.metric("jobs_running") == 0 and server.metric("queue_depth") == 0, "idle", 30)
    memory, descriptors = server.memory(), server.descriptors()
    done, refused = load(server, 60 * MINUTES * 2 / 3, SEED + 1)
    until(lambda: server.metric("jobs_running") == 0 and server.metric("queue_depth") == 0, "idle", 30)
    until(lambda: server.metric("datasets") == 0 or server.metric("dataset_bytes") < 64 << 20, "datasets deleted", 5)
    with Client(server.unix) as client:
        for left in client.dataset.List(dataset.ListDatasetsRequest(page_size=1000)).datasets:
            client.dataset.Delete(dataset.DeleteDatasetRequest(name=left.name))
    until(lambda: server.metric("memory_reserved_bytes") == 0, "the ledger at 0", 20)
    until(lambda: server.descriptors() <= descriptors + 2, "descriptors flat", 20)
    grown = server.memory() / memory - 1
    print(f"soak: {done} steps, {refused} refused, memory {memory >> 20} MiB {grown:+.1%}, seed {SEED}")
    assert server.memory() < memory * 1.02 + (24 << 20)
