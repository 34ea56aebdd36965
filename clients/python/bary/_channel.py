"""Calls over one gRPC channel, which is made when it is first needed and once per process.

A channel does not survive a fork: its threads are gone in the child, its socket is shared with the
parent. So each use compares the process id, and a child makes a channel of its own; the parent's
is left alone, since closing it here would close it there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import cast

import grpc

from bary import errors
from bary._failure import from_rpc
from bary._methods import Method, Repeat, Request, Response
from bary._requests import CALL_SECONDS_MAX

OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_send_message_length", -1),  # the server's limit decides, in its own words
    ("grpc.enable_retries", 0),  # repeated here, where a reason is known
    # Else a forked child's channel takes over its parent's connection, and fails once with it.
    ("grpc.use_local_subchannel_pool", 1),
)


class Channel:
    """Calls methods at one address; safe for threads, and for use after a fork.

    Parameters
    ----------
    address : str
        "host:port" or "unix:/path".
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._by_pid: dict[int, grpc.Channel] = {}

    def _open(self) -> grpc.Channel:
        pid = os.getpid()
        found = self._by_pid.get(pid)
        if found is None:
            # No lock, which a fork could leave locked: of two threads one keeps its channel, and
            # the other's never connected.
            found = self._by_pid.setdefault(
                pid, grpc.insecure_channel(self.address, options=OPTIONS)
            )
        return found

    def close(self) -> None:
        """Close the channel of this process; the next call opens another."""
        found = self._by_pid.pop(os.getpid(), None)
        if found is not None:
            found.close()

    def unary(
        self,
        method: Method[Request, Response],
        request: Request,
        timeout: float,
        *,
        wait_for_ready: bool = False,
    ) -> Response:
        """Call a method that takes and gives one message.

        A refusal that names a pause is waited out and repeated, where the method may be repeated
        and `timeout`, in seconds, leaves room for it. An interrupt cancels the call.
        """
        stub = self._open().unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        end = time.monotonic() + timeout
        while True:
            left = max(end - time.monotonic(), 0.001)
            call = stub.future(
                request, timeout=min(left, CALL_SECONDS_MAX), wait_for_ready=wait_for_ready
            )
            try:
                return cast(Response, call.result())
            except grpc.RpcError as error:
                failure = from_rpc(error, self.address)
            except BaseException:
                call.cancel()
                raise
            pause = pause_before_repeat(method.repeat, failure)
            if pause is None or time.monotonic() + pause >= end:
                raise failure
            time.sleep(pause)

    def down(self, method: Method[Request, Response], request: Request) -> Iterator[Response]:
        """Call a method that answers with a stream; leaving the iterator cancels the call."""
        stub = self._open().unary_stream(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        yield from self._receive(lambda: stub(request))

    def both(
        self, method: Method[Request, Response], requests: Iterable[Request]
    ) -> Iterator[Response]:
        """Call a method that takes and gives a stream; leaving the iterator cancels the call."""
        stub = self._open().stream_stream(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        yield from self._receive(lambda: stub(iter(requests)))

    def _receive(self, start: Callable[[], grpc.Call]) -> Iterator[Response]:
        call = start()
        try:
            for message in call:
                yield cast(Response, message)
        except grpc.RpcError as error:
            raise from_rpc(error, self.address) from None
        finally:
            call.cancel()

    def up(
        self, method: Method[Request, Response], streams: list[Iterator[bytes]]
    ) -> list[Response]:
        """Call a method that takes a stream of serialized messages, once per stream, side by side.

        The first that fails cancels the others and is raised.
        """
        stub = self._open().stream_unary(
            method.path, response_deserializer=method.response.FromString
        )
        calls = [stub.future(stream) for stream in streams]
        try:
            return [cast(Response, call.result()) for call in calls]
        except grpc.RpcError as error:
            raise self._first(calls, from_rpc(error, self.address)) from None
        finally:
            for call in calls:
                call.cancel()

    def _first(self, calls: list[grpc.Future], failure: errors.BaryError) -> errors.BaryError:
        """Of several failed calls, the error that says most: ours rather than a lost stream."""
        if failure.reason not in ("", "CANCELLED", "UNREACHABLE"):
            return failure
        for call in calls:
            error = call.exception(timeout=1) if call.done() and not call.cancelled() else None
            if error is not None:
                other = from_rpc(error, self.address)
                if other.reason not in ("", "CANCELLED", "UNREACHABLE"):
                    return other
        return failure


def pause_before_repeat(repeat: Repeat, failure: errors.BaryError) -> float | None:
    """Seconds before the same call may be sent again; None: it must not."""
    if repeat is Repeat.NEVER or not failure.retryable:
        return None
    return failure.retry_after
