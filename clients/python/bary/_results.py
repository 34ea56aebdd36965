"""What the service answers, as plain objects: named as on the wire, arrays as numpy arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from bary import errors
from bary._failure import from_job
from bary._proto import clustering_service_pb2 as clustering
from bary._proto import dataset_service_pb2 as dataset
from bary._proto import model_service_pb2 as model
from bary._proto import server_service_pb2 as server
from bary._proto import types_pb2 as types
from bary._wire import Array, from_matrix

FloatArray = npt.NDArray[np.float64]
LabelArray = npt.NDArray[np.int32]
CountArray = npt.NDArray[np.int64]


class _Names(Protocol):
    def Name(self, number: int) -> str: ...  # noqa: N802 - protobuf's name


def _word(names: _Names, number: int, prefix: str) -> str:
    """An enum's value in lower case; its number, when a newer server knows more of them."""
    try:
        return names.Name(number).removeprefix(prefix).lower()
    except ValueError:
        return str(number)


def _time(message: object) -> datetime | None:
    """A Timestamp as an aware datetime; None when unset."""
    seconds, nanos = message.seconds, message.nanos  # type: ignore[attr-defined]
    if not seconds and not nanos:
        return None
    return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=nanos // 1000)


def floats(matrix: types.Matrix) -> FloatArray:
    """An array of float64 that can be written to."""
    return np.array(from_matrix(matrix), dtype=np.float64)


def labels_of(matrix: types.Matrix) -> LabelArray:
    """An array of int32 that can be written to."""
    return np.array(from_matrix(matrix), dtype=np.int32)


@dataclass(frozen=True)
class Report:
    """What was used for an answer, and how long each stage took, in nanoseconds."""

    backend: str
    device: str
    isa: str
    method: str
    threads: int
    queue_ns: int
    upload_ns: int
    prepare_ns: int
    compute_ns: int
    store_ns: int
    serialize_ns: int
    bytes_reserved: int
    warnings: tuple[str, ...]
    fallbacks: tuple[str, ...]

    @classmethod
    def of(cls, message: types.Report) -> Report:
        """From the wire."""
        return cls(
            backend=message.backend,
            device=message.device,
            isa=message.isa,
            method=message.method,
            threads=message.threads,
            queue_ns=message.queue_ns,
            upload_ns=message.upload_ns,
            prepare_ns=message.prepare_ns,
            compute_ns=message.compute_ns,
            store_ns=message.store_ns,
            serialize_ns=message.serialize_ns,
            bytes_reserved=message.bytes_reserved,
            warnings=tuple(message.warnings),
            fallbacks=tuple(message.fallbacks),
        )


@dataclass(frozen=True)
class Progress:
    """How far a job is. What is not known yet is None.

    Attributes
    ----------
    stage : str
        "facts", "seeding", "rounds", "finish" or "done".
    run, n_init : int
        This run, counted from 0, of how many.
    iteration, max_iter : int
        Round of this run, counted from 1, of at most how many.
    rows_done, rows : int
        Of this pass over the data.
    inertia : float or None
        Of the best run so far, in squared units of the data.
    center_shift : float or None
        Squared, of the last round.
    labels_moved : int or None
        Rows that changed their cluster in the last round.
    fraction : float
        0 to 1.
    rows_per_second, seconds_left : float or None
        Estimates.
    """

    stage: str
    run: int
    n_init: int
    iteration: int
    max_iter: int
    rows_done: int
    rows: int
    inertia: float | None
    center_shift: float | None
    labels_moved: int | None
    fraction: float
    rows_per_second: float | None
    seconds_left: float | None

    @classmethod
    def of(cls, message: types.Progress) -> Progress:
        """From the wire."""

        def known(name: str) -> float | None:
            return float(getattr(message, name).value) if message.HasField(name) else None

        moved = known("labels_moved")
        return cls(
            stage=_word(types.FitStage, message.stage, "FIT_STAGE_"),
            run=message.run,
            n_init=message.n_init,
            iteration=message.iteration,
            max_iter=message.max_iter,
            rows_done=message.rows_done,
            rows=message.rows,
            inertia=known("inertia"),
            center_shift=known("center_shift"),
            labels_moved=None if moved is None else int(moved),
            fraction=message.fraction,
            rows_per_second=known("rows_per_second"),
            seconds_left=known("seconds_left"),
        )


@dataclass(frozen=True)
class FitResult:
    """What a fit leaves.

    Attributes
    ----------
    cluster_centers : ndarray of float64, shape (n_clusters, n_features)
        In units of the data.
    labels : ndarray of int32, shape (n_rows,), or None
        Index of each row's nearest center; -1 for a row that was skipped. None when not asked for.
    inertia : float
        Sum of weighted squared distances to the nearest center, in squared units of the data.
    n_iter : int
        Rounds of the best run.
    sizes : ndarray of int64, shape (n_clusters,), or None
        Rows per cluster; None above 65,536 clusters.
    history : ndarray of float64, shape (n_iter,)
        Inertia after each round; empty unless asked for.
    stop_reason : str
        "labels_equal", "tolerance", "max_iter" or "fixed_rounds".
    random_state : int
        The seed that was used.
    model : str
        Name and version the model was kept under, or "".
    rows, rows_skipped, empty_clusters : int
        Rows given, rows skipped as non-finite, clusters left without rows.
    numerics_version : int
        Equal numbers promise equal bits.
    label_fingerprint : bytes
        16 bytes; equal exactly when all labels are (but for one in 2**128).
    report : Report
        What was used and how long it took.
    """

    cluster_centers: FloatArray
    labels: LabelArray | None
    inertia: float
    n_iter: int
    sizes: CountArray | None
    history: FloatArray
    stop_reason: str
    random_state: int
    model: str
    rows: int
    rows_skipped: int
    empty_clusters: int
    numerics_version: int
    label_fingerprint: bytes
    report: Report

    @classmethod
    def of(
        cls,
        fit: types.FitResult,
        report: types.Report,
        centers: FloatArray,
        labels: LabelArray | None,
    ) -> FitResult:
        """From the wire, and the arrays that a message may not hold."""
        return cls(
            cluster_centers=centers,
            labels=labels,
            inertia=fit.inertia,
            n_iter=fit.n_iter,
            sizes=np.array(fit.sizes, dtype=np.int64) if fit.sizes else None,
            history=np.array(fit.history, dtype=np.float64),
            stop_reason=_word(types.StopReason, fit.stop, "STOP_REASON_"),
            random_state=fit.random_state,
            model=fit.model,
            rows=fit.rows,
            rows_skipped=fit.rows_skipped,
            empty_clusters=fit.empty_clusters,
            numerics_version=fit.numerics_version,
            label_fingerprint=fit.label_fingerprint,
            report=Report.of(report),
        )


@dataclass(frozen=True)
class PredictResult:
    """Labels and distances of rows under given centers.

    Attributes
    ----------
    labels : ndarray of int32, shape (n_rows,), or None
        Index of the nearest center, the lowest on a tie; -1 for a row that was skipped.
    distances : ndarray of float64, shape (n_rows, n_clusters), or None
        Euclidean, in units of the data.
    report : Report
        What was used and how long it took.
    """

    labels: LabelArray | None
    distances: FloatArray | None
    report: Report

    @classmethod
    def of(
        cls, answers: list[clustering.PredictResponse], *, labels: bool, distances: bool
    ) -> PredictResult:
        """From one answer, or the answers of a stream."""
        label_parts = [from_matrix(a.labels) for a in answers if a.labels.rows]
        distance_parts = [from_matrix(a.distances) for a in answers if a.distances.rows]
        return cls(
            labels=np.array(np.concatenate(label_parts), np.int32) if labels else None,
            distances=np.array(np.concatenate(distance_parts), np.float64) if distances else None,
            report=Report.of(answers[-1].report),
        )


@dataclass(frozen=True)
class EvaluateResult:
    """The inertia of rows under given centers.

    Attributes
    ----------
    inertia : float
        Sum of weighted squared distances to the nearest center, in squared units of the data.
    inertia_per_cluster : ndarray of float64, shape (n_clusters,)
        The same by cluster.
    sizes : ndarray of int64, shape (n_clusters,)
        Rows per cluster.
    rows : int
        Rows that took part.
    """

    inertia: float
    inertia_per_cluster: FloatArray
    sizes: CountArray
    rows: int

    @classmethod
    def of(cls, message: types.EvaluateResult) -> EvaluateResult:
        """From the wire."""
        return cls(
            inertia=message.inertia,
            inertia_per_cluster=np.array(message.inertia_per_cluster, dtype=np.float64),
            sizes=np.array(message.sizes, dtype=np.int64),
            rows=message.rows,
        )


@dataclass(frozen=True)
class JobStatus:
    """One state of a job.

    Attributes
    ----------
    name : str
        "namespaces/default/jobs/...".
    kind, state : str
        "fit", "predict" or "evaluate"; "queued", "running", "succeeded", "failed", "cancelling" or
        "cancelled".
    sequence : int
        Grows with every change.
    queue_position : int or None
        From 0; None when it is not queued.
    progress : Progress
        How far it is.
    created, started, ended : datetime or None
        UTC.
    tags : tuple of str
        As given.
    dataset : str
        Name of its input, or "".
    report : Report
        What was used so far.
    error : BaryError or None
        How it ended badly.
    """

    name: str
    kind: str
    state: str
    sequence: int
    queue_position: int | None
    progress: Progress
    created: datetime | None
    started: datetime | None
    ended: datetime | None
    tags: tuple[str, ...]
    dataset: str
    report: Report
    error: errors.BaryError | None = field(compare=False)

    @property
    def done(self) -> bool:
        """Whether it is over, well or badly."""
        return self.state in ("succeeded", "failed", "cancelled")

    @classmethod
    def of(cls, message: types.Job) -> JobStatus:
        """From the wire."""
        return cls(
            name=message.name,
            kind=_word(types.JobKind, message.kind, "JOB_KIND_"),
            state=_word(types.JobState, message.state, "JOB_STATE_"),
            sequence=message.sequence,
            queue_position=message.queue_position if message.queue_position >= 0 else None,
            progress=Progress.of(message.progress),
            created=_time(message.created),
            started=_time(message.started),
            ended=_time(message.ended),
            tags=tuple(message.tags),
            dataset=message.dataset,
            report=Report.of(message.report),
            error=from_job(message.error) if message.HasField("error") else None,
        )


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
            state=_word(dataset.DatasetState, message.state, "DATASET_STATE_"),
            columns=tuple(
                ColumnInfo(c.name, _word(types.DType, c.dtype, "DTYPE_"), max(1, c.width))
                for c in message.schema.columns
            ),
            rows=message.rows,
            bytes=message.bytes,
            content_hash=message.content_hash,
            pins=message.pins,
            ttl=message.ttl.ToNanoseconds() / 1e9,
            created=_time(message.created),
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
            dtype=_word(types.DType, message.dtype, "DTYPE_"),
            cluster_centers=floats(message.cluster_centers) if has_centers else None,
            inertia=message.inertia,
            n_iter=message.n_iter,
            n_init=message.n_init,
            max_iter=message.max_iter,
            tol=message.tol,
            random_state=message.random_state,
            stop_reason=_word(types.StopReason, message.stop, "STOP_REASON_"),
            init=_word(types.Init, message.init, "INIT_"),
            algorithm=_word(types.Algorithm, message.algorithm, "ALGORITHM_"),
            sizes=np.array(message.sizes, dtype=np.int64) if message.sizes else None,
            column_names=tuple(message.column_names),
            bytes=message.bytes,
            content_hash=message.content_hash,
            created=_time(message.created),
            numerics_version=message.numerics_version,
        )


@dataclass(frozen=True)
class DeviceInfo:
    """A device of the server; `reason` says why it is not offered."""

    backend: str
    index: int
    name: str
    state: str
    reason: str
    threads: int
    isa: str
    memory_bytes: int


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
            devices=tuple(
                DeviceInfo(
                    d.backend, d.index, d.name, d.state, d.reason, d.threads, d.isa, d.memory_bytes
                )
                for d in message.devices
            ),
            limits={x.name: LimitInfo(x.name, x.value, x.unit, x.help) for x in message.limits},
            memory_budget_bytes=message.memory_budget_bytes,
            memory_reserved_bytes=message.memory_reserved_bytes,
            memory_source=message.memory_source,
            threads=message.threads,
            threads_source=message.threads_source,
            numerics_version=message.numerics_version,
            volatile_datasets=message.volatile_datasets,
            draining=message.draining,
            started=_time(message.started),
        )


def join(parts: list[types.Matrix]) -> Array:
    """The rows of several chunks, one below the other."""
    return cast(Array, np.concatenate([from_matrix(part) for part in parts]))
