"""What a server says of itself, its datasets and its models, as plain objects."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime

import numpy as np

from bary._proto import dataset_service_pb2 as dataset
from bary._proto import model_service_pb2 as model
from bary._proto import server_service_pb2 as server
from bary._proto import types_pb2 as types
from bary._results import CountArray, FloatArray, floats, when, word


@dataclass(frozen=True)
class ColumnInfo:
    """A column of a dataset: name, numpy dtype by name, values a row."""

    name: str
    dtype: str
    width: int


@dataclass(frozen=True)
class DatasetInfo:
    """A dataset of the server.

    Attributes
    ----------
    name : str
        "namespaces/default/datasets/...".
    state : str
        "open", "sealing", "sealed" or "deleted".
    columns : tuple of ColumnInfo
        Its schema.
    rows, bytes : int
        Its size.
    content_hash : str
        Hex SHA-256, once sealed.
    pins : int
        Jobs that hold it.
    ttl : float
        Idle seconds after which it goes.
    created : datetime or None
        UTC.
    volatile : bool
        Whether it lives in memory, so that a restart forgets it.
    """

    name: str
    state: str
    columns: tuple[ColumnInfo, ...]
    rows: int
    bytes: int
    content_hash: str
    pins: int
    ttl: float
    created: datetime | None
    volatile: bool

    @classmethod
    def of(cls, message: dataset.Dataset) -> DatasetInfo:
        """From the wire."""
        return cls(
            name=message.name,
            state=word(dataset.DatasetState, message.state, "DATASET_STATE_"),
            columns=tuple(
                ColumnInfo(c.name, word(types.DType, c.dtype, "DTYPE_"), max(1, c.width))
                for c in message.schema.columns
            ),
            rows=message.rows,
            bytes=message.bytes,
            content_hash=message.content_hash,
            pins=message.pins,
            ttl=message.ttl.ToNanoseconds() / 1e9,
            created=when(message.created),
            volatile=message.volatile,
        )


@dataclass(frozen=True)
class ModelInfo:
    """A model that the server keeps.

    Attributes
    ----------
    name : str
        "namespaces/default/models/.../versions/...".
    version : int
        From 1.
    n_clusters, columns, rows : int
        Shape of its centers, and the rows it was fitted on.
    dtype : str
        "f32" or "f64", of that data.
    cluster_centers : ndarray of float64, shape (n_clusters, columns), or None
        None in lists and above 3 MiB.
    inertia : float
        Of the data it was fitted on.
    n_iter, n_init, max_iter : int
        Rounds taken, runs, most rounds.
    tol : float
        As given.
    random_state : int
        The seed.
    stop_reason, init, algorithm : str
        In lower case.
    sizes : ndarray of int64, shape (n_clusters,), or None
        Rows per cluster; None in lists.
    column_names : tuple of str
        Names of the features, if the data had any.
    bytes : int
        Of the stored model.
    content_hash : str
        Hex SHA-256 of the stored bytes.
    created : datetime or None
        UTC.
    numerics_version : int
        Equal numbers promise equal bits.
    """

    name: str
    version: int
    n_clusters: int
    columns: int
    rows: int
    dtype: str
    cluster_centers: FloatArray | None
    inertia: float
    n_iter: int
    n_init: int
    max_iter: int
    tol: float
    random_state: int
    stop_reason: str
    init: str
    algorithm: str
    sizes: CountArray | None
    column_names: tuple[str, ...]
    bytes: int
    content_hash: str
    created: datetime | None
    numerics_version: int

    @classmethod
    def of(cls, message: model.Model) -> ModelInfo:
        """From the wire."""
        has_centers = message.HasField("cluster_centers")
        return cls(
            name=message.name,
            version=message.version,
            n_clusters=message.n_clusters,
            columns=message.columns,
            rows=message.rows,
            dtype=word(types.DType, message.dtype, "DTYPE_"),
            cluster_centers=floats(message.cluster_centers) if has_centers else None,
            inertia=message.inertia,
            n_iter=message.n_iter,
            n_init=message.n_init,
            max_iter=message.max_iter,
            tol=message.tol,
            random_state=message.random_state,
            stop_reason=word(types.StopReason, message.stop, "STOP_REASON_"),
            init=word(types.Init, message.init, "INIT_"),
            algorithm=word(types.Algorithm, message.algorithm, "ALGORITHM_"),
            sizes=np.array(message.sizes, dtype=np.int64) if message.sizes else None,
            column_names=tuple(message.column_names),
            bytes=message.bytes,
            content_hash=message.content_hash,
            created=when(message.created),
            numerics_version=message.numerics_version,
        )


@dataclass(frozen=True)
class DeviceInfo:
    """A device of the server, or the GPU that it does not have.

    Attributes
    ----------
    backend, index, name, isa, build : str, int, str, str, str
        What it is; `build` is that of its backend or plug-in.
    state : str
        "OK", or "ABSENT", "SUSPECT", "QUARANTINED", "OPENING": then nothing runs there.
    reason_name, reason, advice : str
        Why it is not offered (a word such as "NO_DRIVER", a sentence) and what to do about it;
        empty when it is.
    threads : int
        Of a CPU.
    memory_bytes, free_bytes : int
        What it has; what a GPU could give when it was opened.
    budget_bytes, reserved_bytes : int
        What jobs may take of a GPU, and have taken.
    pinned_budget_bytes, pinned_reserved_bytes : int
        The same of host memory that is pinned for its copies.
    """

    backend: str
    index: int
    name: str
    state: str
    reason: str
    threads: int
    isa: str
    memory_bytes: int
    reason_name: str
    advice: str
    build: str
    free_bytes: int
    budget_bytes: int
    reserved_bytes: int
    pinned_budget_bytes: int
    pinned_reserved_bytes: int

    @classmethod
    def of(cls, message: server.Device) -> DeviceInfo:
        """From the wire."""
        return cls(**{field.name: getattr(message, field.name) for field in fields(cls)})


@dataclass(frozen=True)
class LimitInfo:
    """A limit of the server, with its unit."""

    name: str
    value: int
    unit: str
    help: str


@dataclass(frozen=True)
class ServerInfo:
    """What a server is, may and has.

    Attributes
    ----------
    version, commit, grpc_version : str
        Of the program.
    extensions, algorithms : tuple of str
        What it can.
    devices : tuple of DeviceInfo
        Where it computes.
    limits : dict of str to LimitInfo
        By name.
    memory_budget_bytes, memory_reserved_bytes : int
        What it may take, and what is taken.
    memory_source, threads_source : str
        Where these numbers come from.
    threads : int
        Of the CPU.
    numerics_version : int
        Equal numbers promise equal bits.
    volatile_datasets, draining : bool
        Whether datasets live in memory alone; whether it is going away.
    started : datetime or None
        UTC.
    """

    version: str
    commit: str
    grpc_version: str
    extensions: tuple[str, ...]
    algorithms: tuple[str, ...]
    devices: tuple[DeviceInfo, ...]
    limits: dict[str, LimitInfo]
    memory_budget_bytes: int
    memory_reserved_bytes: int
    memory_source: str
    threads: int
    threads_source: str
    numerics_version: int
    volatile_datasets: bool
    draining: bool
    started: datetime | None

    @classmethod
    def of(cls, message: server.Server) -> ServerInfo:
        """From the wire."""
        return cls(
            version=message.version,
            commit=message.commit,
            grpc_version=message.grpc_version,
            extensions=tuple(message.extensions),
            algorithms=tuple(message.algorithms),
            devices=tuple(DeviceInfo.of(device) for device in message.devices),
            limits={x.name: LimitInfo(x.name, x.value, x.unit, x.help) for x in message.limits},
            memory_budget_bytes=message.memory_budget_bytes,
            memory_reserved_bytes=message.memory_reserved_bytes,
            memory_source=message.memory_source,
            threads=message.threads,
            threads_source=message.threads_source,
            numerics_version=message.numerics_version,
            volatile_datasets=message.volatile_datasets,
            draining=message.draining,
            started=when(message.started),
        )
