"""Peers that lie, flood, or speak another language are refused in the right words; the server goes on."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time

import grpc
import numpy as np
import pytest
import wire
from reference import blobs
from server import SLOWNESS, Server, until
from wire import Client, fit_request, refused

X = blobs(100, 2, 3)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MIB = 1 << 20


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def literal(name: bytes, value: bytes) -> bytes:
    """A header field without indexing, lengths in 7 bits."""
    assert len(name) < 127
    assert len(value) < 127
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def call_headers(path: bytes, *more: tuple[bytes, bytes]) -> bytes:
    fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"x")]
    fields += [(b"te", b"trailers"), (b"content-type", b"application/grpc"), *more]
    return b"".join(literal(n, v) for n, v in fields)


FIT = b"/bary.v1.ClusteringService/Fit"
OPEN = PREFACE + frame(4, 0, 0)
CALL = OPEN + frame(1, 4, 1, call_headers(FIT))
GARBAGE = {
    "nothing": b"",
    "noise": os.urandom(4096),
    "HTTP/1": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": bytes.fromhex("16030100a5010000a10303") + os.urandom(160),
    "half a preface": PREFACE[:10],
    "a preface and noise": PREFACE + os.urandom(2000),
    "a frame of 16 MiB": OPEN + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
    "data on no stream": OPEN + frame(0, 0, 7, b"hello"),
    "a length prefix of 4 GiB": CALL + frame(0, 0, 1, b"\x00\xff\xff\xff\xff" + b"x" * 100),
    "a compressed flag without encoding": CALL + frame(0, 1, 1, b"\x01\x00\x00\x00\x04abcd"),
    "flag 7": CALL + frame(0, 1, 1, b"\x07\x00\x00\x00\x04abcd"),
    "a message that is noise": CALL + frame(0, 1, 1, b"\x00\x00\x00\x00\x40" + os.urandom(64)),
    "half a message": CALL + frame(0, 1, 1, b"\x00\x00\x00\x00\x40" + b"abc"),
    "headers without end": OPEN + frame(1, 0, 1, call_headers(FIT)) + frame(9, 0, 1, literal(b"a", b"b")) * 2000,
    "broken header compression": OPEN + frame(1, 4, 1, b"\xff" * 50),
    "settings of a wrong size": PREFACE + frame(4, 0, 0, b"12345"),
    "a window of zero": OPEN + frame(8, 0, 0, struct.pack(">I", 0)),
    "a window that overflows": OPEN + frame(8, 0, 0, struct.pack(">I", 0x7FFFFFFF)) * 2,
    "resets": OPEN + b"".join(frame(1, 4, s, call_headers(FIT)) + frame(3, 0, s, b"\0\0\0\x08") for s in range(1, 2001, 2)),
    "pings": OPEN + frame(6, 0, 0, b"12345678") * 3000,
}


def throw(server: Server, content: bytes) -> None:
    """Sends it and reads until the server has had enough or half a second is over."""
    host, port = server.tcp.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=5) as peer, contextlib.suppress(OSError):
        peer.sendall(content)
        peer.settimeout(0.5)
        while peer.recv(65536):
            pass


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_harms_nobody_else(bary: Client, shared: Server, what: str) -> None:
    before = shared.memory()
    throw(shared, GARBAGE[what])
    assert bary.fit(X, 3).fit.rows == 100
    assert SLOWNESS > 1 or shared.memory() < before + 64 * MIB, "a sanitizer keeps freed memory; the server must not"


def test_silent_peers_do_not_keep_others_out(bary: Client, shared: Server) -> None:
    host, port = shared.tcp.rsplit(":", 1)
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(socket.create_connection((host, int(port)), timeout=5))
        begun = time.monotonic()
        assert bary.fit(X, 3).fit.rows == 100
        assert time.monotonic() - begun < 5


def serves(client: Client) -> bool:
    with contextlib.suppress(grpc.RpcError):
        return client.fit(X, 3).fit.rows == 100
    return False


def bytes_call(client: Client, method: str = "Fit", service: str = "Clustering") -> object:
    return client.channel.unary_unary(f"/bary.v1.{service}Service/{method}", request_serializer=bytes, response_deserializer=bytes)


@pytest.mark.skipif(SLOWNESS > 1, reason="a sanitizer keeps freed memory: peaks say nothing")
def test_an_oversize_message_is_refused_and_not_held(own: tuple[Server, Client]) -> None:
    server, _ = own
    limit = 4 << 20
    with Client(server.unix, **{"grpc.max_send_message_length": -1}) as big:
        with refused("MESSAGE_SIZE") as error:
            bytes_call(big)(bytes(limit + 1), timeout=20)
        assert error.metadata["limit"] == str(limit)
        before = server.memory("VmHWM")
        for _ in range(3):
            with pytest.raises(grpc.RpcError) as caught:
                bytes_call(big)(bytes(200 * MIB), timeout=30)
            assert caught.value.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)
        assert server.memory("VmHWM") < before + 128 * MIB
        assert big.fit(X, 3).fit.rows == 100


def test_a_compressed_message_is_refused_unread(own: tuple[Server, Client]) -> None:
    server, bary = own
    before = server.memory("VmHWM")
    bomb = fit_request(np.zeros((3 << 17, 1)), 1)
    with pytest.raises(grpc.RpcError) as caught:
        bary.clustering.Fit(bomb, timeout=20, compression=grpc.Compression.Gzip)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert server.memory("VmHWM") < before + 16 * MIB
    assert bary.fit(X, 3).fit.rows == 100


def field(number: int, payload: bytes) -> bytes:
    out, size = bytearray(varint(number << 3 | 2)), len(payload)
    return bytes(out + varint(size)) + payload


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


GOOD = fit_request(X, 3).SerializeToString()


def nested(depth: int) -> bytes:
    out = b""
    for _ in range(depth):
        out = field(1, out)
    return out


BAD_MESSAGES = {
    "noise": os.urandom(300),
    "a cut message": GOOD[:-3],
    "a length beyond the end": b"\x0a\xff\xff\xff\xff\x0f",
    "field number 0": b"\x02\x00" + GOOD,
    "a varint of 11 bytes": b"\x10" + b"\xff" * 10 + b"\x01",
    "a group": b"\x0b\x0c" + GOOD,
    "deep nesting": nested(5000),
    "a sub-message twice": GOOD + field(1, b"") * 2,
    "a sub-message 100,000 times": field(1, field(1, b"\x08\x02")) * 100_000,
    "bad UTF-8": GOOD + field(14, b"\xff\xfe"),
    "a NUL in a string": GOOD + field(14, b"a\0b"),
    "a wrong wire type": b"\x08\x01" + GOOD,
    "a million tags": GOOD + field(18, field(4, b"") * 1_000_000),
    "more fields than the gate lets through": GOOD + b"\xf8\x07\x01" * 1_100_000,
}


@pytest.mark.parametrize("what", BAD_MESSAGES)
def test_a_bad_message_is_refused(bary: Client, shared: Server, what: str) -> None:
    before, begun = shared.memory(), time.monotonic()
    with pytest.raises(grpc.RpcError) as caught:
        bytes_call(bary)(BAD_MESSAGES[what], timeout=20)
    error = wire.must_be_well_formed(caught.value)
    assert error.code in ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"), error.message
    assert error.reason in ("MALFORMED", "OUT_OF_RANGE", "MISSING", "MEMORY_PRESSURE", "MESSAGE_SIZE"), error.message
    assert time.monotonic() - begun < 5
    assert bary.fit(X, 3).fit.rows == 100
    assert SLOWNESS > 1 or shared.memory() < before + 300 * MIB


def test_bad_chunks_end_their_stream_alone(bary: Client) -> None:
    made = bary.dataset.Create(wire.create_request(X))
    call = bary.channel.stream_unary(
        "/bary.v1.DatasetService/Upload", request_serializer=bytes, response_deserializer=wire.dataset.UploadResponse.FromString
    )
    header = wire.dataset.UploadRequest(upload_id=made.upload_id).SerializeToString()
    for bad in (b"\xff\xff\xff", b"\x1a\xff\xff\xff\xff\x0f", os.urandom(200), header[:-2]):
        with pytest.raises(grpc.RpcError) as caught:
            call(iter([header, bad]), timeout=10)
        assert wire.must_be_well_formed(caught.value).code in ("INVALID_ARGUMENT", "DATA_LOSS")
    assert bary.upload(made.upload_id, X).held_total == len(X)


def test_huge_metadata_is_refused(bary: Client) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        bary.server.GetServer(wire.server.GetServerRequest(), metadata=[("x-long", "y" * 60_000)], timeout=10)
    assert caught.value.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL)
    until(lambda: serves(bary), "served again")


def test_more_connections_than_allowed_wait_or_are_refused_and_the_listener_lives(start: object) -> None:
    server = start(environment={"BARY_LIMITS_CONNECTIONS": "8"})
    host, port = server.tcp.rsplit(":", 1)
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            with contextlib.suppress(OSError):
                stack.enter_context(socket.create_connection((host, int(port)), timeout=2))
    with Client(server.tcp) as client:
        until(lambda: serves(client), "served after the flood", 15)
