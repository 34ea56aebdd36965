"""Official stubs made from proto/ when the tests start, and short ways to say things with them."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
import numpy as np
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("clustering", "dataset", "job", "model", "server")


def _make_stubs() -> Path:
    out = Path(tempfile.mkdtemp(prefix="bary-stubs-"))
    atexit.register(shutil.rmtree, out, ignore_errors=True)
    known = Path(protoc.__file__).parent / "_proto"
    files = sorted(str(p) for p in (ROOT / "proto/bary/v1").glob("*.proto"))
    code = protoc.main(["protoc", f"-I{ROOT / 'proto'}", f"-I{known}", f"--python_out={out}", f"--grpc_python_out={out}", *files])
    assert code == 0, "protoc refuses proto/bary/v1"
    for folder in ("bary", "bary/v1"):  # a whole package wins over the client's, should that be installed
        (out / folder / "__init__.py").write_text("")
    return out


sys.path.insert(0, str(_make_stubs()))


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"bary.v1.{name}")


t: Any = _module("types_pb2")
clustering: Any = _module("clustering_service_pb2")
dataset: Any = _module("dataset_service_pb2")
job: Any = _module("job_service_pb2")
model: Any = _module("model_service_pb2")
server: Any = _module("server_service_pb2")

DTYPES = {
    "float32": 1, "float64": 2, "float16": 3, "int8": 5, "int16": 6, "int32": 7, "int64": 8,
    "uint8": 9, "uint16": 10, "uint32": 11, "uint64": 12, "bool": 13,
}  # fmt: skip
NUMPY = {number: name for name, number in DTYPES.items()}


class Client:
    """Every stub on one channel. Arguments of calls are messages; a call gets 30 s unless told otherwise."""

    def __init__(self, address: str, **options: Any) -> None:
        self.channel = grpc.insecure_channel(
            address,
            options=[("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0), *options.items()],
        )
        self.clustering = _module("clustering_service_pb2_grpc").ClusteringServiceStub(self.channel)
        self.dataset = _module("dataset_service_pb2_grpc").DatasetServiceStub(self.channel)
        self.job = _module("job_service_pb2_grpc").JobServiceStub(self.channel)
        self.model = _module("model_service_pb2_grpc").ModelServiceStub(self.channel)
        self.server = _module("server_service_pb2_grpc").ServerServiceStub(self.channel)

    def close(self) -> None:
        self.channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fit(self, X: Any, n_clusters: int, *, wait: float = 20.0, **fields: Any) -> Any:
        """A fit that is waited for; X is an array, a dataset's name, or a Source."""
        return self.clustering.Fit(fit_request(X, n_clusters, wait=wait, **fields), timeout=60)

    def store(self, X: np.ndarray, name: str = "", **fields: Any) -> Any:
        """Uploads an array as one vector column and seals it."""
        made = self.dataset.Create(create_request(X, name, **fields), timeout=30)
        self.upload(made.upload_id, X)
        return self.dataset.Commit(dataset.CommitDatasetRequest(upload_id=made.upload_id), timeout=60)

    def upload(self, upload_id: str, X: np.ndarray, rows: int = 0, first: int = 0) -> Any:
        return self.dataset.Upload(upload_messages(upload_id, X, rows, first), timeout=120)


def create_request(X: np.ndarray, name: str = "", **fields: Any) -> Any:
    column = t.Column(name="x", dtype=DTYPES[X.dtype.name], width=X.shape[1] if X.ndim == 2 else 1)
    return dataset.CreateDatasetRequest(id=name, encoding=dataset.ENCODING_BLOCKS, schema=t.Schema(columns=[column]), rows=len(X), **fields)


def upload_messages(upload_id: str, X: np.ndarray, rows: int = 0, first: int = 0) -> Iterator[Any]:
    """Header, then chunks of about a MiB (or of `rows` rows); offsets count from `first`."""
    yield dataset.UploadRequest(upload_id=upload_id)
    row_bytes = max(1, X[:1].nbytes)
    rows = rows or max(1, (1 << 20) // row_bytes)
    for start in range(0, len(X), rows):
        yield chunk(first + start, X[start : start + rows].tobytes())


def chunk(offset: int, payload: bytes, crc: int | None = None) -> Any:
    return dataset.UploadRequest(offset=offset, payload=payload, crc32c=crc32c(payload) if crc is None else crc)


def _crc_tables() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1).astype(np.uint32)
    return table


_TABLE = _crc_tables()
_CRC_CACHE: dict[bytes, int] = {}


def _crc_matrix(length: int) -> np.ndarray:
    """What `length` zero bytes do to each of the 32 bits of a crc."""
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)

    def apply(matrix: np.ndarray, values: np.ndarray) -> np.ndarray:
        out = np.zeros_like(values)
        for bit in range(32):
            out ^= np.where(values >> np.uint32(bit) & np.uint32(1), matrix[bit], np.uint32(0))
        return out

    step = _TABLE[bits & np.uint32(0xFF)] ^ (bits >> np.uint32(8))
    out = bits.copy()
    while length:
        if length & 1:
            out = apply(step, out)
        step = apply(step, step)
        length >>= 1
    return out


def crc32c(payload: bytes) -> int:
    """The checksum of RFC 3720, over many lanes at once so that Python keeps up with a test's uploads."""
    data = np.frombuffer(payload, np.uint8)
    lanes = 1024 if len(data) >= 1 << 14 else 1
    length = len(data) // lanes
    body = data[: lanes * length].reshape(lanes, length)
    crc = np.zeros(lanes, np.uint32)
    crc[0] = 0xFFFFFFFF
    for column in body.T:
        crc = _TABLE[(crc ^ column) & np.uint32(0xFF)] ^ (crc >> np.uint32(8))
    value = int(crc[0])
    if lanes > 1:
        matrix = [int(m) for m in _crc_matrix(length)]
        for lane in crc[1:]:
            moved = 0
            for bit in range(32):
                moved ^= matrix[bit] if value >> bit & 1 else 0
            value = moved ^ int(lane)
    for byte in data[lanes * length :]:
        value = int(_TABLE[(value ^ int(byte)) & 0xFF]) ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def matrix(X: Any) -> Any:
    X = np.ascontiguousarray(X)
    columns = X.shape[1] if X.ndim == 2 else 0
    return t.Matrix(dtype=DTYPES[X.dtype.name], rows=len(X), columns=columns, data=X.tobytes())


def array(message: Any) -> np.ndarray:
    out = np.frombuffer(message.data, NUMPY[message.dtype])
    return out.reshape(message.rows, message.columns) if message.columns > 0 else out


def source(X: Any) -> Any:
    if isinstance(X, str):
        return t.Source(dataset=t.DatasetRef(name=X))
    return X if isinstance(X, t.Source) else t.Source(matrix=matrix(X))


def model_ref(which: Any) -> Any:
    return t.ModelRef(name=which) if isinstance(which, str) else t.ModelRef(centers=matrix(which))


def fit_request(X: Any, n_clusters: int, *, wait: float = 0, random_state: int | None = 0, **fields: Any) -> Any:
    """Plain Python values become the messages that the fields want."""
    request = clustering.FitRequest(source=source(X), n_clusters=n_clusters)
    if random_state is not None:
        request.random_state.value = random_state
    if wait:
        request.options.wait.FromNanoseconds(int(wait * 1e9))
    for name, value in fields.items():
        set_field(request, name, value)
    return request


def batch_request(X: Any, n_clusters: Any, *, wait: float = 20, random_state: int | None = 0, **fields: Any) -> Any:
    """X: an array of problems x rows x columns, or rows beside row_offsets; n_clusters: one number, or one a problem."""
    if isinstance(X, np.ndarray) and X.ndim == 3:
        fields["problems"] = len(X)
        X = X.reshape(-1, X.shape[2])
    request = clustering.FitBatchRequest(source=source(X))
    if isinstance(n_clusters, int):
        request.n_clusters = n_clusters
    else:
        request.n_clusters_each.extend(n_clusters)
    if random_state is not None:
        request.random_state.value = random_state
    if wait:
        request.options.wait.FromNanoseconds(int(wait * 1e9))
    for name in ("row_offsets", "random_state_each"):
        getattr(request, name).extend(fields.pop(name, []))
    for name, value in fields.items():
        set_field(request, name, value)
    return request


def set_field(request: Any, name: str, value: Any) -> None:
    if name == "tol":
        request.tol.value = value
    elif name == "init_centers":
        request.init_centers.CopyFrom(matrix(value))
    elif name == "sample_weight":
        request.sample_weight.CopyFrom(t.Weights(column=value) if isinstance(value, str) else t.Weights(values=matrix(value)))
    elif name in ("request_id", "tags"):
        getattr(request.options, name).extend(value) if name == "tags" else setattr(request.options, name, value)
    elif name == "max_runtime":
        request.options.max_runtime.FromNanoseconds(int(value * 1e9))
    else:
        setattr(request, name, value)


# The rows of the table that says what every error looks like.
STATUSES = {
    name: (code, retry == "LATER", sentence)
    for name, code, retry, sentence in re.findall(
        r'^STATUS\((\w+),\s*\d+,\s*(\w+),\s*(\w+),\s*"([^"]*)"\)', (ROOT / "proto/status.def").read_text(), re.MULTILINE
    )
}


class Refusal:
    """An error as its reader sees it; filled when the block of `refused` is left."""

    reason = code = message = ""
    metadata: dict[str, str] = {}


def details(error: grpc.RpcError) -> tuple[Any, list[Any], list[Any]]:
    """google.rpc.Status, its ErrorInfos, its RetryInfos."""
    status = rpc_status.from_call(error)
    assert status is not None, f"no status details: {error.code()}: {error.details()}"
    infos, retries = [], []
    for detail in status.details:
        for kind, held in ((error_details_pb2.ErrorInfo, infos), (error_details_pb2.RetryInfo, retries)):
            if detail.Is(kind.DESCRIPTOR):
                held.append(kind())
                detail.Unpack(held[-1])
    return status, infos, retries


def must_be_well_formed(error: grpc.RpcError) -> Refusal:
    """What is promised of every error, whatever it says."""
    status, infos, retries = details(error)
    assert len(infos) == 1, f"{len(infos)} ErrorInfo in: {error.details()}"
    info = infos[0]
    assert info.domain == "bary"
    code, later, sentence = STATUSES[info.reason]
    assert error.code().name == code, f"{info.reason} came as {error.code().name}"
    assert status.message == error.details() and status.code == error.code().value[0]
    assert bool(retries) == later, f"{info.reason}: {len(retries)} RetryInfo"
    words = re.findall(r"\{(\w+)\}", sentence)
    assert set(words) <= set(info.metadata), f"{info.reason} lacks {set(words) - set(info.metadata)}"
    said = sentence
    for word in words:
        said = said.replace("{" + word + "}", info.metadata[word])
    assert error.details() == said, f"{error.details()!r} is not {said!r}"
    assert len(error.details()) <= 1024
    out = Refusal()
    out.reason, out.code, out.message, out.metadata = info.reason, code, error.details(), dict(info.metadata)
    return out


@contextlib.contextmanager
def refused(reason: str, message: str | None = None, pattern: str | None = None) -> Iterator[Refusal]:
    """The block must end in this error, with this very sentence (or one that a pattern matches whole)."""
    out = Refusal()
    try:
        yield out
    except grpc.RpcError as error:
        found = must_be_well_formed(error)
        out.__dict__.update(found.__dict__)
    else:
        raise AssertionError(f"nothing was refused; {reason} was expected")
    assert out.reason == reason, f"{out.reason}: {out.message}"
    if message is not None:
        assert out.message == message
    if pattern is not None:
        assert re.fullmatch(pattern, out.message), out.message
