"""More work than there is room for, and a thousand clients that hardly move: others are served as before.

Seconds long at a merge; BARY_LOAD_SECONDS makes each part longer. The bars hang on a machine with nothing
beside it, so a crowded one stretches them (`crowding`), and what was measured is printed.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections import Counter

import grpc
import numpy as np
import pytest
import wire
from reference import blobs
from server import SLOWNESS, Server, crowding, until
from wire import Client, t

SECONDS = float(os.environ.get("BARY_LOAD_SECONDS", "2"))
MIB = 1 << 20
pytestmark = [pytest.mark.alone, pytest.mark.skipif(SLOWNESS > 1, reason="a sanitizer's times and memory say nothing")]


def heavy_request(client: Client) -> object:
    """A Predict of some milliseconds, so that it is the server that is short of time and not this client."""
    random = np.random.default_rng(3)
    client.fit(random.normal(size=(2_000, 32)).astype("float32"), 1_000, init=t.INIT_RANDOM, max_iter=1, model="heavy")
    rows = random.normal(size=(2_000, 32)).astype("float32")
    return wire.clustering.PredictRequest(model=wire.model_ref("heavy"), source=wire.source(rows))


def closed(client: Client, request: object, seconds: float, users: int) -> float:
    """Calls per second when each of some users waits for its answer: the capacity."""
    done = Counter[str]()
    end = time.monotonic() + seconds

    def user() -> None:
        while time.monotonic() < end:
            client.clustering.Predict(request)
            done["ok"] += 1

    threads = [threading.Thread(target=user) for _ in range(users)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done["ok"] / seconds


class Open:
    """Calls that come at a rate, whatever becomes of those before."""

    def __init__(self, client: Client, request: object, rate: float, seconds: float) -> None:
        self.ends: list[tuple[str, float]] = []
        self.rate, self.seconds = rate, seconds
        calls, begun = [], time.monotonic()
        for number in range(int(rate * seconds)):
            time.sleep(max(0.0, begun + number / rate - time.monotonic()))
            call = client.clustering.Predict.future(request, timeout=30)
            call.add_done_callback(self._ended(time.monotonic()))
            calls.append(call)
        self.took = time.monotonic() - begun
        for call in calls:
            with contextlib.suppress(grpc.RpcError, grpc.FutureCancelledError):
                call.exception(timeout=60)
        until(lambda: len(self.ends) == len(calls), "all answered", 30)

    def _ended(self, begun: float) -> object:
        def note(call: grpc.Future) -> None:
            error = call.exception()
            reason = "ok" if error is None else wire.must_be_well_formed(error).reason
            self.ends.append((reason, time.monotonic() - begun))

        return note

    def seconds_of(self, ok: bool) -> list[float]:
        return sorted(took for reason, took in self.ends if (reason == "ok") == ok)


def at(share: float, values: list[float]) -> float:
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def test_more_calls_than_there_is_room_for_lose_no_throughput(start: object) -> None:
    server: Server = start("--limits-fast-requests", "16")
    with Client(server.unix) as client:
        request = heavy_request(client)
        capacity = closed(client, request, SECONDS, 4)
        memory = server.memory()
        for times in (2, 10):
            load = Open(client, request, capacity * times, SECONDS)
            good = len(load.seconds_of(ok=True)) / load.took
            refusals = load.seconds_of(ok=False)
            print(
                f"{times} x {capacity:.0f} calls/s: {good / capacity:.2f} of the capacity served, {len(refusals)} refused "
                f"(median {at(0.5, refusals) * 1e3:.1f} ms), served p99 {at(0.99, load.seconds_of(ok=True)) * 1e3:.0f} ms"
            )
            assert {reason for reason, _ in load.ends} <= {"ok", "QUEUE_FULL", "MEMORY_PRESSURE", "TOO_MANY"}
            assert refusals, "nothing was refused: this was no overload"
            assert good > 0.5 * capacity / crowding()
        assert server.memory() < memory + 128 * MIB
        after = closed(client, request, SECONDS, 4)
        assert after > 0.5 * capacity / crowding(), f"{after:.0f} calls/s afterwards, {capacity:.0f} before"
    server.must_be_clean()


def dribble(peers: list[socket.socket], stop: threading.Event) -> None:
    """One byte a second from each: the beginning of a connection that never comes to a call."""
    greeting = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(2000)
    for byte in greeting:
        for peer in peers:
            with contextlib.suppress(OSError):
                peer.send(bytes([byte]))
        if stop.wait(1):
            return


def test_a_thousand_slow_clients_slow_nobody_else(start: object) -> None:
    server: Server = start("--limits-connections", "2000")
    rows = blobs(200, 4, 3, dtype="float32")
    with Client(server.unix) as client, contextlib.ExitStack() as stack:
        client.fit(rows, 3, model="small")
        request = wire.clustering.PredictRequest(model=wire.model_ref("small"), source=wire.source(rows))

        def p99(count: int = 300) -> float:
            times = []
            for _ in range(count):
                begun = time.monotonic()
                client.clustering.Predict(request)
                times.append(time.monotonic() - begun)
            return at(0.99, sorted(times))

        alone, memory = p99(), server.memory()
        host, port = server.tcp.rsplit(":", 1)
        peers = [stack.enter_context(socket.create_connection((host, int(port)), timeout=10)) for _ in range(1000)]
        stop = threading.Event()
        thread = threading.Thread(target=dribble, args=(peers, stop))
        thread.start()
        try:
            beside = [p99() for _ in range(int(SECONDS))]
        finally:
            stop.set()
            thread.join()
        grown = server.memory() - memory
        print(f"p99 alone {alone * 1e3:.2f} ms, beside 1,000 slow peers {min(beside) * 1e3:.2f} ms, {grown / MIB:.0f} MiB more")
        assert min(beside) < 2 * alone * crowding() + 0.005
        assert grown < 256 * MIB
    server.must_be_clean()
