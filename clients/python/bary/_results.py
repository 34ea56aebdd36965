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
from bary._proto import types_pb2 as types
from bary._wire import Array, from_matrix

FloatArray = npt.NDArray[np.float64]
LabelArray = npt.NDArray[np.int32]
CountArray = npt.NDArray[np.int64]


class _Names(Protocol):
    def Name(self, number: int) -> str: ...  # noqa: N802 - protobuf's name


def word(names: _Names, number: int, prefix: str) -> str:
    """An enum's value in lower case; its number, when a newer server knows more of them."""
    try:
        return names.Name(number).removeprefix(prefix).lower()
    except ValueError:
        return str(number)


def when(message: object) -> datetime | None:
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
            stage=word(types.FitStage, message.stage, "FIT_STAGE_"),
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
            stop_reason=word(types.StopReason, fit.stop, "STOP_REASON_"),
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
        "fit", "fit_batch", "predict" or "evaluate"; "queued", "running", "succeeded", "failed",
        "cancelling" or "cancelled".
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
            kind=word(types.JobKind, message.kind, "JOB_KIND_"),
            state=word(types.JobState, message.state, "JOB_STATE_"),
            sequence=message.sequence,
            queue_position=message.queue_position if message.queue_position >= 0 else None,
            progress=Progress.of(message.progress),
            created=when(message.created),
            started=when(message.started),
            ended=when(message.ended),
            tags=tuple(message.tags),
            dataset=message.dataset,
            report=Report.of(message.report),
            error=from_job(message.error) if message.HasField("error") else None,
        )


def join(parts: list[types.Matrix]) -> Array:
    """The rows of several chunks, one below the other."""
    return cast(Array, np.concatenate([from_matrix(part) for part in parts]))
