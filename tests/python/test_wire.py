"""Arrays, frames, messages and errors, without a server."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import google_crc32c
import grpc
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse

from bary import _reasons, errors
from bary._failure import from_job, from_rpc
from bary._proto import dataset_service_pb2 as dataset
from bary._proto import error_details_pb2 as details
from bary._proto import status_pb2
from bary._proto import types_pb2 as types
from bary._upload import chunk_message
from bary._wire import DTYPES, as_block, as_weights, from_matrix, to_matrix


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_comes_back_as_it_went(dtype: np.dtype) -> None:
    array = np.arange(12).reshape(4, 3).astype(dtype)
    back = from_matrix(to_matrix(array, "X"))
    assert back.dtype == dtype
    assert np.array_equal(back, array)


@pytest.mark.parametrize(
    "change",
    [
        np.asfortranarray,
        lambda a: a[::-1],
        lambda a: a[:, ::2],
        lambda a: a.astype(">f8"),
        lambda a: np.repeat(a, 2, axis=0)[::2],
    ],
    ids=["fortran", "reversed", "strided", "big-endian", "skipping"],
)
def test_memory_order_does_not_show(change: object) -> None:
    array = change(np.random.default_rng(0).random((5, 4)))
    matrix = to_matrix(array, "X")
    assert matrix.data == np.ascontiguousarray(array, dtype="<f8").tobytes()


def test_read_only_arrays_are_sent() -> None:
    array = np.ones((3, 2))
    array.flags.writeable = False
    assert as_block(array).inline().matrix.rows == 3


def test_a_chunk_written_by_hand_is_what_protobuf_reads() -> None:
    block = as_block(pd.DataFrame({"a": np.arange(1000.0), "b": np.arange(1000, dtype=np.int32)}))
    message = dataset.UploadRequest.FromString(chunk_message(300, block.slices(300, 500)))
    want = np.arange(300.0, 800).tobytes() + np.arange(300, 800, dtype=np.int32).tobytes()
    assert (message.offset, message.payload, message.upload_id) == (300, want, "")
    assert message.crc32c == google_crc32c.value(want)


def test_a_chunk_of_a_column_major_matrix_is_in_row_order() -> None:
    X = np.asfortranarray(np.arange(24.0).reshape(8, 3))
    message = dataset.UploadRequest.FromString(chunk_message(2, as_block(X).slices(2, 4)))
    assert message.payload == np.arange(6.0, 18.0).tobytes()


@pytest.mark.parametrize("rows", [1, 2, 1023, 1024, 1025])
def test_chunks_cover_every_row_once(rows: int) -> None:
    chunks = list(as_block(np.zeros((rows, 2))).chunks(1024))
    assert sum(count for _, count in chunks) == rows
    assert [first for first, _ in chunks] == [0, *np.cumsum([c for _, c in chunks])[:-1]]


@pytest.mark.parametrize(
    "make",
    [pd.DataFrame, pl.DataFrame, lambda columns: pa.table(columns)],
    ids=["pandas", "polars", "pyarrow"],
)
def test_a_table_keeps_names_and_dtypes(make: object) -> None:
    columns = {"a": np.array([1.0, 2.0], np.float32), "b": np.array([3, 4], np.int16)}
    block = as_block(make(columns))
    schema = block.schema()
    assert [(c.name, c.dtype, c.width) for c in schema.columns] == [
        ("a", types.DTYPE_F32, 1),
        ("b", types.DTYPE_I16, 1),
    ]
    assert block.inline().table.data[1] == columns["b"].tobytes()


def test_text_columns_are_refused_by_name() -> None:
    with pytest.raises(TypeError, match="column 'town' has dtype"):
        as_block(pd.DataFrame({"town": ["a", "b"]}))


def test_sparse_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="X is sparse"):
        as_block(sparse.csr_matrix(np.eye(3)))


@pytest.mark.parametrize("shape", [(3,), (2, 2, 2), (0, 2), (2, 0)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(errors.ShapeMismatchError, match="X has"):
        as_block(np.zeros(shape))


def test_weights_must_match_rows() -> None:
    with pytest.raises(ValueError, match=r"sample_weight has shape \(2,\); it must have \(3,\)"):
        as_weights([1, 2], 3)


def test_a_weight_column_gets_a_free_name() -> None:
    block = as_block(pd.DataFrame({"sample_weight": [1.0]}))
    assert block.with_column("sample_weight", np.ones(1))[1] == "sample_weight_"


def classes() -> list[type[errors.BaryError]]:
    return [getattr(errors, name) for name in _reasons.__all__]


def test_every_reason_has_a_class_and_a_built_in() -> None:
    assert len(classes()) > 40
    for kind in classes():
        assert errors.for_reason(kind.reason) is kind
        assert issubclass(kind, errors.BaryError)
        builtin = kind.__mro__[2]
        assert builtin.__module__ == "builtins", kind
        assert builtin is not Exception, kind


@pytest.mark.parametrize("kind", classes(), ids=lambda kind: kind.__name__)
def test_errors_say_their_message_and_survive_a_pickle(kind: type[errors.BaryError]) -> None:
    error = kind("what happened", {"rows": "2"}, 0.25)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(error) == str(again) == "what happened"
    assert (again.metadata, again.retry_after) == ({"rows": "2"}, 0.25)


@pytest.mark.parametrize(
    ("reason", "builtin"),
    [
        ("TOO_FEW_ROWS", ValueError),
        ("MODEL_NOT_FOUND", KeyError),
        ("DEADLINE", TimeoutError),
        ("MEMORY_PRESSURE", MemoryError),
        ("UNREACHABLE", ConnectionError),
        ("PERMISSION", PermissionError),
        ("UNSUPPORTED", NotImplementedError),
    ],
)
def test_old_except_clauses_work(reason: str, builtin: type[Exception]) -> None:
    with pytest.raises(builtin):
        raise errors.for_reason(reason)("so")


class Failed(grpc.RpcError):
    """A failed call as gRPC raises it."""

    def __init__(self, code: grpc.StatusCode, text: str, trailers: tuple = ()) -> None:
        self.parts = (code, text, trailers)

    def code(self) -> grpc.StatusCode:
        return self.parts[0]

    def details(self) -> str:
        return self.parts[1]

    def trailing_metadata(self) -> tuple:
        return self.parts[2]


def with_details(reason: str, domain: str = "bary") -> Failed:
    status = status_pb2.Status(code=8, message="full; try again in 250 ms")
    status.details.add().Pack(
        details.ErrorInfo(reason=reason, domain=domain, metadata={"retry_ms": "250"})
    )
    retry = details.RetryInfo()
    retry.retry_delay.FromMilliseconds(250)
    status.details.add().Pack(retry)
    trailers = (("grpc-status-details-bin", status.SerializeToString()),)
    return Failed(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", trailers)


def test_status_details_become_the_class_of_their_reason() -> None:
    error = from_rpc(with_details("QUEUE_FULL"), "here")
    assert type(error) is errors.QueueFullError
    assert str(error) == "full; try again in 250 ms"
    assert (error.retry_after, error.metadata) == (0.25, {"retry_ms": "250"})
    assert (error.code, error.number, error.retryable) == ("RESOURCE_EXHAUSTED", 40, True)


def test_reasons_of_the_future_are_server_errors() -> None:
    assert type(from_rpc(with_details("NEVER_HEARD_OF"), "here")) is errors.ServerError


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, errors.UnreachableError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineError),
        (grpc.StatusCode.CANCELLED, errors.UnreachableError),
        (grpc.StatusCode.UNKNOWN, errors.ServerError),
    ],
)
def test_codes_without_details_have_a_class_too(code: grpc.StatusCode, kind: type) -> None:
    assert type(from_rpc(Failed(code, "so"), "here")) is kind
    foreign = with_details("QUEUE_FULL", domain="elsewhere")
    assert type(from_rpc(foreign, "here")) is errors.ServerError
    broken = Failed(code, "so", (("grpc-status-details-bin", b"\xff\xff"),))
    assert type(from_rpc(broken, "here")) is kind


def test_a_failed_job_holds_the_same_errors() -> None:
    error = from_job(types.JobError(reason="TOO_FEW_ROWS", message="so", metadata={"rows": "2"}))
    assert type(error) is errors.TooFewRowsError
    assert error.metadata == {"rows": "2"}


def test_importing_starts_nothing_and_prints_nothing() -> None:
    script = (
        "import sys, threading, os; import bary; "
        "assert threading.active_count() == 1; assert 'BARY_ADDRESS' not in os.environ; "
        "assert not {'sklearn', 'pandas', 'matplotlib', 'tqdm'} & set(sys.modules)"
    )
    env = {k: v for k, v in os.environ.items() if k != "BARY_ADDRESS"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=env, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_messages_do_not_collide_with_another_google_rpc_status() -> None:
    """Another package's google/rpc/status.proto, of other content, in protobuf's global pool."""
    script = """
from google.protobuf import descriptor_pb2, descriptor_pool
other = descriptor_pb2.FileDescriptorProto(name="google/rpc/status.proto", package="google.rpc")
other.message_type.add(name="Status").field.add(name="other", number=9, type=9, label=1)
descriptor_pool.Default().AddSerializedFile(other.SerializeToString())
import bary
from bary._proto import status_pb2
assert status_pb2.Status(code=3).code == 3
"""
    subprocess.run([sys.executable, "-c", script], check=True)
