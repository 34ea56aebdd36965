"""From what gRPC raises, and what a failed job holds, to the classes of `bary.errors`."""

from __future__ import annotations

import grpc
from google.protobuf.message import DecodeError

from bary import errors
from bary._proto import error_details_pb2 as details
from bary._proto import status_pb2
from bary._proto import types_pb2 as types

_DETAILS_KEY = "grpc-status-details-bin"
_DOMAIN = "bary"


def from_rpc(error: grpc.RpcError, address: str) -> errors.BaryError:
    """Return the error that a failed call means."""
    code: str = error.code().name
    text: str = error.details() or ""
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY:
            found = _from_details(value, text)
            if found is not None:
                return found
    return _from_code(code, text, address)


def from_job(error: types.JobError) -> errors.BaryError:
    """Return the error that a failed or cancelled job holds."""
    return errors.for_reason(error.reason)(error.message, dict(error.metadata))


def _from_details(value: bytes, text: str) -> errors.BaryError | None:
    """Read google.rpc.Status: ErrorInfo gives the class, RetryInfo the pause. None: not ours."""
    try:
        status = status_pb2.Status.FromString(value)
    except DecodeError:
        return None
    info = details.ErrorInfo()
    retry = details.RetryInfo()
    retry_after: float | None = None
    for detail in status.details:
        if detail.TypeName() == "google.rpc.ErrorInfo":
            detail.Unpack(info)
        elif detail.TypeName() == "google.rpc.RetryInfo":
            detail.Unpack(retry)
            retry_after = retry.retry_delay.ToNanoseconds() / 1e9
    if info.domain != _DOMAIN or not info.reason:
        return None
    kind = errors.for_reason(info.reason)
    return kind(status.message or text, dict(info.metadata), retry_after)


def _from_code(code: str, text: str, address: str) -> errors.BaryError:
    """Return what gRPC itself, or a proxy, means by a bare code."""
    if code == "CANCELLED":  # an interrupt here comes as itself: the other end went away
        text = f"the server ended while it was called ({text})"
    if code in ("UNAVAILABLE", "CANCELLED"):
        return errors.UnreachableError(
            f"no server answers at '{address}': {text}", {"address": address, "why": text}
        )
    if code == "DEADLINE_EXCEEDED":
        return errors.DeadlineError(f"the call's deadline passed: {text}")
    if code == "UNIMPLEMENTED":
        return errors.MethodNotFoundError(f"the server at '{address}' does not know this: {text}")
    return errors.ServerError(f"{code}: {text}", {"code": code})
