"""Many small problems: how they are sent, and what comes back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from bary import errors
from bary._failure import from_job
from bary._proto import clustering_service_pb2 as clustering
from bary._proto import types_pb2 as types
from bary._requests import WAIT_SECONDS, FitOptions, SentRows, fit_message
from bary._results import CountArray, FloatArray, LabelArray, Report, word
from bary._wire import INLINE_BYTES_MAX, Array

BoolArray: TypeAlias = npt.NDArray[np.bool_]

# Of an answer, at most: a problem's numbers, and a center's size.
_PROBLEM_BYTES = 48
_SIZE_BYTES = 5
_FINGERPRINT_BYTES = 16


@dataclass(frozen=True)
class Problems:
    """Where the problems lie in rows that are one below the other, and what each has of its own.

    Attributes
    ----------
    row_offsets : ndarray of int64, shape (problems + 1,)
        Problem p has rows ``row_offsets[p]`` to ``row_offsets[p + 1] - 1``.
    n_clusters : ndarray of int64, shape (problems,)
    random_state : sequence of int or None
        One seed a problem; None: all have the same.
    """

    row_offsets: CountArray
    n_clusters: CountArray
    random_state: Sequence[int] | None

    def __len__(self) -> int:
        return len(self.n_clusters)


def stacked(X: npt.ArrayLike | Sequence[npt.ArrayLike]) -> tuple[Array, CountArray] | None:
    """Rows one below the other and their offsets: of a 3-d array, or a list of 2-d arrays.

    None when X is neither.
    """
    if isinstance(X, (list, tuple)) and any(np.ndim(part) == 2 for part in X):
        parts = [np.asarray(part) for part in X]
        widths = sorted({part.shape[1] if part.ndim == 2 else -1 for part in parts})
        if len(widths) > 1:
            raise errors.ShapeMismatchError(
                f"the problems have {', '.join(str(w) for w in widths)} columns (-1: no matrix); "
                "all must have equally many",
                {"what": "X", "found": str(widths), "expected": "equally many columns"},
            )
        counts = np.array([len(part) for part in parts], dtype=np.int64)
        return np.concatenate(parts), np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    if np.ndim(X) == 3:  # type: ignore[arg-type]
        array = np.asarray(X)
        problems, rows, columns = array.shape
        offsets = np.arange(problems + 1, dtype=np.int64) * rows
        return array.reshape(problems * rows, columns), offsets
    return None


def problems_of(
    row_offsets: npt.ArrayLike,
    n_clusters: int | npt.ArrayLike,
    random_state: int | npt.ArrayLike | None,
) -> tuple[Problems, int | None]:
    """What each problem has, and the seed of all (None: each its own, or the server's choice)."""
    offsets = np.asarray(row_offsets, dtype=np.int64)
    if offsets.ndim != 1 or len(offsets) < 2:
        raise errors.ShapeMismatchError(
            f"row_offsets has shape {offsets.shape}; it must have (problems + 1,), two or more",
            {"what": "row_offsets", "found": str(offsets.shape), "expected": "(problems + 1,)"},
        )
    problems = len(offsets) - 1
    clusters = _one_each("n_clusters", n_clusters, problems)
    if random_state is None or isinstance(random_state, (int, np.integer)):
        return Problems(offsets, clusters, None), None if random_state is None else int(
            random_state
        )
    states = [int(state) for state in np.asarray(random_state).tolist()]
    if len(states) != problems:
        raise _not_one_each("random_state", f"({len(states)},)", problems)
    return Problems(offsets, clusters, states), None


def _not_one_each(what: str, found: str, problems: int) -> errors.BaryError:
    return errors.ShapeMismatchError(
        f"{what} has shape {found}; it must be one number, or have ({problems},)",
        {"what": what, "found": found, "expected": f"({problems},)"},
    )


def _one_each(what: str, value: int | npt.ArrayLike, problems: int) -> CountArray:
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{what} has dtype {array.dtype}; it must be whole numbers")
    if array.ndim == 0:
        return np.full(problems, array, dtype=np.int64)
    if array.shape != (problems,):
        raise _not_one_each(what, str(array.shape), problems)
    return array.astype(np.int64)


def batch_request(
    rows: SentRows, problems: Problems, options: FitOptions, wait: float
) -> tuple[clustering.FitBatchRequest, bool]:
    """A batch without init centers, and whether it is ephemeral (as `fit_request` says)."""
    request = clustering.FitBatchRequest()
    for field, value in fit_message(rows.source, options, rows.weights).ListFields():
        if field.name not in request.DESCRIPTOR.fields_by_name:
            continue
        if field.message_type is not None:
            getattr(request, field.name).CopyFrom(value)
        else:
            setattr(request, field.name, value)
    request.row_offsets.extend(problems.row_offsets.tolist())
    if len(set(problems.n_clusters.tolist())) == 1:
        request.n_clusters = int(problems.n_clusters[0])
    else:
        request.n_clusters_each.extend(problems.n_clusters.tolist())
    if problems.random_state is not None:
        request.random_state_each.extend(problems.random_state)
    own = np.minimum(problems.n_clusters, np.diff(problems.row_offsets)).clip(0).sum()
    answer_bytes = int(own) * (8 * rows.columns + _SIZE_BYTES) + len(problems) * _PROBLEM_BYTES
    answer_bytes += 4 * rows.rows if options.labels else 0
    ephemeral = wait > 0 and rows.inline and answer_bytes <= INLINE_BYTES_MAX
    if ephemeral:
        request.options.wait.FromNanoseconds(int(min(wait, WAIT_SECONDS) * 1e9))
    return request, ephemeral


@dataclass(frozen=True)
class ProblemResult:
    """What the fit of one problem leaves.

    Attributes
    ----------
    cluster_centers : ndarray of float64, shape (n_clusters, n_features)
        In units of the data.
    labels : ndarray of int32, shape (n_rows,), or None
        Index of each row's nearest center; -1 for a row that was skipped. None when not asked for.
    sizes : ndarray of int64, shape (n_clusters,)
        Rows per cluster.
    inertia : float
        Sum of weighted squared distances to the nearest center, in squared units of the data.
    n_iter : int
        Rounds of the best run.
    stop_reason : str
        "labels_equal", "tolerance", "max_iter" or "fixed_rounds".
    label_fingerprint : bytes
        16 bytes; equal exactly when all labels are (but for one in 2**128).
    """

    cluster_centers: FloatArray
    labels: LabelArray | None
    sizes: CountArray
    inertia: float
    n_iter: int
    stop_reason: str
    label_fingerprint: bytes


@dataclass(frozen=True)
class BatchResult:
    """What a batch leaves: arrays over all problems, and ``result[p]`` for one.

    Arrays of centers and rows have a problem's axis in front where all problems have equally many,
    and are one below the other, by `center_offsets` and `row_offsets`, where they have not. A
    problem that failed has an entry in `errors`, centers and inertia NaN, labels -1, numbers 0.

    Attributes
    ----------
    cluster_centers : ndarray of float64
        Shape (problems, n_clusters, n_features), or (all centers, n_features).
    labels : ndarray of int32, or None
        Shape (problems, n_rows), or (all rows,); -1 for a row that was skipped. None when not asked
        for.
    sizes : ndarray of int64
        Rows per cluster; shape (problems, n_clusters), or (all centers,).
    inertia : ndarray of float64, shape (problems,)
        Sums of weighted squared distances to the nearest center, in squared units of the data.
    n_iter, runs, empty_clusters, rows_skipped : ndarray of int64, shape (problems,)
        Rounds of the best run, which run it was (from 0), clusters left without rows, rows skipped.
    stop_reasons : list of str
        "labels_equal", "tolerance", "max_iter", "fixed_rounds", or "" where it failed.
    errors : dict of int to BaryError
        By problem, of those that failed; see `raise_errors`.
    ok : ndarray of bool, shape (problems,)
        Which went well.
    row_offsets, center_offsets : ndarray of int64, shape (problems + 1,)
        Where the rows and the centers of each problem begin.
    label_fingerprints : list of bytes
        16 bytes each; equal exactly when all labels are (but for one in 2**128).
    random_state : int
        The seed of all problems, unless each was given its own.
    numerics_version : int
        Equal numbers promise equal bits.
    report : Report
        What was used and how long it took.
    """

    cluster_centers: FloatArray
    labels: LabelArray | None
    sizes: CountArray
    inertia: FloatArray
    n_iter: CountArray
    runs: CountArray
    empty_clusters: CountArray
    rows_skipped: CountArray
    stop_reasons: list[str]
    errors: Mapping[int, errors.BaryError]
    ok: BoolArray
    row_offsets: CountArray
    center_offsets: CountArray
    label_fingerprints: list[bytes]
    random_state: int
    numerics_version: int
    report: Report

    def __len__(self) -> int:
        return len(self.inertia)

    def __getitem__(self, problem: int) -> ProblemResult:
        """Return the result of one problem; raises what it failed with."""
        count = len(self)
        if not -count <= problem < count:
            raise IndexError(f"problem {problem} of {count}")
        p = problem % count
        if p in self.errors:
            raise self.errors[p]
        rows = slice(self.row_offsets[p], self.row_offsets[p + 1])
        centers = slice(self.center_offsets[p], self.center_offsets[p + 1])
        width = self.cluster_centers.shape[-1]
        return ProblemResult(
            cluster_centers=self.cluster_centers.reshape(-1, width)[centers],
            labels=None if self.labels is None else self.labels.reshape(-1)[rows],
            sizes=self.sizes.reshape(-1)[centers],
            inertia=float(self.inertia[p]),
            n_iter=int(self.n_iter[p]),
            stop_reason=self.stop_reasons[p],
            label_fingerprint=self.label_fingerprints[p],
        )

    def __iter__(self) -> Iterator[ProblemResult]:
        return (self[p] for p in range(len(self)))

    def raise_errors(self) -> None:
        """Raise what the first problem failed with, if any did."""
        for problem in sorted(self.errors):
            raise self.errors[problem]

    @classmethod
    def of(
        cls,
        batch: types.FitBatchResult,
        report: types.Report,
        row_offsets: CountArray,
        centers: FloatArray,
        labels: LabelArray | None,
        sizes: CountArray,
    ) -> BatchResult:
        """From the wire, and the arrays that a message may not hold."""
        center_offsets = np.array(batch.center_offsets, dtype=np.int64)
        status = np.array(batch.status, dtype=np.int64)
        inertia = np.array(batch.inertia, dtype=np.float64)
        inertia[status != 0] = np.nan
        centers[np.repeat(status != 0, np.diff(center_offsets))] = np.nan
        marks = batch.label_fingerprints
        return cls(
            cluster_centers=_by_problem(centers, center_offsets),
            labels=None if labels is None else _by_problem(labels, row_offsets),
            sizes=_by_problem(sizes, center_offsets),
            inertia=inertia,
            n_iter=np.array(batch.n_iter, dtype=np.int64),
            runs=np.array(batch.run, dtype=np.int64),
            empty_clusters=np.array(batch.empty_clusters, dtype=np.int64),
            rows_skipped=np.array(batch.rows_skipped, dtype=np.int64),
            stop_reasons=[_stop(number) for number in batch.stop],
            errors=_errors(batch, status),
            ok=status == 0,
            row_offsets=row_offsets,
            center_offsets=center_offsets,
            label_fingerprints=[
                marks[at : at + _FINGERPRINT_BYTES]
                for at in range(0, len(marks), _FINGERPRINT_BYTES)
            ],
            random_state=batch.random_state,
            numerics_version=batch.numerics_version,
            report=Report.of(report),
        )


Value = TypeVar("Value", bound=np.generic)


def _by_problem(array: npt.NDArray[Value], offsets: CountArray) -> npt.NDArray[Value]:
    """The array with the problems' axis in front, where all of them have equally many."""
    counts = set(np.diff(offsets).tolist())
    if len(counts) != 1 or counts == {0}:
        return array
    return array.reshape(len(offsets) - 1, counts.pop(), *array.shape[1:])


def _stop(number: int) -> str:
    return word(types.StopReason, number, "STOP_REASON_") if number else ""


def _errors(batch: types.FitBatchResult, status: CountArray) -> dict[int, errors.BaryError]:
    """The errors of all problems that failed; of those whose words were left out, the reason."""
    said = {one.problem: from_job(one.error) for one in batch.errors}
    out: dict[int, errors.BaryError] = {}
    for problem in np.flatnonzero(status).tolist():
        kind = errors.for_number(int(status[problem]))
        silent = kind(
            f"problem {problem} failed with {kind.reason}; the answer named the first ones"
        )
        out[problem] = said.get(problem, silent)
    return out
