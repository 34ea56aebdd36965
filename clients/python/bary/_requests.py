"""Requests from Python values: pure, so that a blocking and an asyncio client can share them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from bary import errors
from bary._proto import clustering_service_pb2 as clustering
from bary._proto import types_pb2 as types
from bary._wire import CHUNK_BYTES, INLINE_BYTES_MAX, Array, Block

NonFinite: TypeAlias = Literal["reject", "skip"]
EmptyClusters: TypeAlias = Literal["relocate", "keep", "error"]
Backend: TypeAlias = Literal["auto", "gpu", "cpu"]
InitName: TypeAlias = Literal["k-means++", "random"]

_INIT: Mapping[str, types.Init] = {
    "k-means++": types.INIT_KMEANS_PLUS_PLUS,
    "random": types.INIT_RANDOM,
}
_NON_FINITE: Mapping[str, types.NonFinite] = {
    "reject": types.NON_FINITE_REJECT,
    "skip": types.NON_FINITE_SKIP,
}
_EMPTY: Mapping[str, types.EmptyClusters] = {
    "relocate": types.EMPTY_CLUSTERS_RELOCATE,
    "keep": types.EMPTY_CLUSTERS_KEEP,
    "error": types.EMPTY_CLUSTERS_ERROR,
}
_BACKEND: Mapping[str, types.Backend] = {
    "auto": types.BACKEND_AUTO,
    "gpu": types.BACKEND_GPU,
    "cpu": types.BACKEND_CPU,
}


def _chosen(table: Mapping[str, int], value: str, what: str) -> int:
    if value not in table:
        known = ", ".join(repr(name) for name in table)
        raise errors.UnknownValueError(
            f"{what} is {value!r}; known are {known}",
            {"what": what, "value": value, "known": known},
        )
    return table[value]


@dataclass(frozen=True)
class Placement:
    """Where to compute.

    Attributes
    ----------
    backend : {"auto", "gpu", "cpu"}, default "auto"
        Kind of device.
    device : int or None, default None
        Its index; None: any.
    forbid_fallback : bool, default False
        Fail rather than compute elsewhere.
    threads : int, default 0
        Of the CPU; 0: all that the device offers. Never changes the answer.
    """

    backend: Backend = "auto"
    device: int | None = None
    forbid_fallback: bool = False
    threads: int = 0

    def message(self) -> types.Placement:
        """As the wire has it."""
        out = types.Placement(forbid_fallback=self.forbid_fallback, threads=self.threads)
        out.backend = _chosen(_BACKEND, self.backend, "backend")  # type: ignore[assignment]
        if self.device is not None:
            out.device.value = self.device
        return out


@dataclass(frozen=True)
class FitOptions:
    """Parameters of a fit; `Client.fit` documents them."""

    n_clusters: int
    init: InitName | Array = "k-means++"
    n_init: int | Literal["auto"] = "auto"
    max_iter: int = 300
    tol: float = 1e-4
    fixed_rounds: bool = False
    random_state: int | None = None
    non_finite: NonFinite = "reject"
    empty_clusters: EmptyClusters = "relocate"
    model: str = ""
    labels: bool = True
    history: bool = False
    placement: Placement = Placement()
    tags: Sequence[str] = ()
    max_runtime: float | None = None


def request_id() -> str:
    """A new id, so that a request that is sent twice takes effect once."""
    return str(uuid.uuid4())


def dataset_source(
    name: str, columns: Iterable[str] = (), rows: tuple[int, int] | None = None
) -> types.Source:
    """Rows of a dataset; `rows` is the first and the count."""
    ref = types.DatasetRef(name=name, columns=list(columns))
    if rows is not None:
        ref.rows.first, ref.rows.count = rows
    return types.Source(dataset=ref)


def fit_request(
    source: types.Source, options: FitOptions, weights: types.Weights | None
) -> clustering.FitRequest:
    """A fit without init centers and run options that are the caller's."""
    request = clustering.FitRequest(
        source=source,
        n_clusters=options.n_clusters,
        n_init=0 if options.n_init == "auto" else options.n_init,
        max_iter=options.max_iter,
        fixed_rounds=options.fixed_rounds,
        model=options.model,
        no_labels=not options.labels,
        history=options.history,
        placement=options.placement.message(),
        sample_weight=weights,
    )
    if request.n_init < 1 and options.n_init != "auto":
        raise errors.OutOfRangeError(f"n_init is {options.n_init}; it must be 'auto' or at least 1")
    if options.max_iter < 1:
        raise errors.OutOfRangeError(f"max_iter is {options.max_iter}; it must be at least 1")
    request.tol.value = options.tol
    request.non_finite = _chosen(_NON_FINITE, options.non_finite, "non_finite")  # type: ignore[assignment]
    request.empty_clusters = _chosen(_EMPTY, options.empty_clusters, "empty_clusters")  # type: ignore[assignment]
    if options.random_state is not None:
        request.random_state.value = options.random_state
    if isinstance(options.init, str):
        request.init = _chosen(_INIT, options.init, "init")  # type: ignore[assignment]
    else:
        request.init = types.INIT_CENTERS
    request.options.request_id = request_id()
    request.options.tags.extend(options.tags)
    if options.max_runtime is not None:
        request.options.max_runtime.FromNanoseconds(int(options.max_runtime * 1e9))
    return request


def answer_bytes(rows: int, columns: int, n_clusters: int) -> int:
    """Bytes of labels and centers in a fit's answer."""
    return 4 * rows + 8 * n_clusters * columns


def as_centers(centers: npt.ArrayLike) -> Array:
    """Centers as a 2-d array of float32 or float64."""
    array = np.asarray(centers)
    if array.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        array = array.astype(np.float64)
    if array.ndim != 2:
        raise errors.ShapeMismatchError(
            f"centers have shape {array.shape}; it must be (n_clusters, n_features)",
            {"what": "centers", "found": str(array.shape), "expected": "(n_clusters, n_features)"},
        )
    return array


def predict_request(
    model: types.ModelRef,
    source: types.Source | None,
    *,
    labels: bool,
    distances: bool,
    non_finite: NonFinite,
    placement: Placement,
) -> clustering.PredictRequest:
    """A prediction, or the first message of a stream of them."""
    request = clustering.PredictRequest(
        model=model,
        source=source,
        no_labels=not labels,
        distances=distances,
        placement=placement.message(),
    )
    request.non_finite = _chosen(_NON_FINITE, non_finite, "non_finite")  # type: ignore[assignment]
    return request


def evaluate_request(
    model: types.ModelRef,
    source: types.Source,
    weights: types.Weights | None,
    *,
    non_finite: NonFinite,
    placement: Placement,
) -> clustering.EvaluateRequest:
    """An evaluation."""
    request = clustering.EvaluateRequest(
        model=model, source=source, sample_weight=weights, placement=placement.message()
    )
    request.non_finite = _chosen(_NON_FINITE, non_finite, "non_finite")  # type: ignore[assignment]
    request.options.request_id = request_id()
    return request


def predict_chunks(
    head: clustering.PredictRequest, block: Block, n_clusters: int, *, distances: bool
) -> Iterator[clustering.PredictRequest]:
    """The messages of a stream: the model, then rows in chunks whose answers fit a message."""
    yield head
    bytes_max = CHUNK_BYTES
    if distances:
        rows_max = max(1, INLINE_BYTES_MAX // (8 * max(1, n_clusters) + 4))
        bytes_max = min(bytes_max, rows_max * block.bytes_per_row)
    for first, count in block.chunks(bytes_max):
        yield clustering.PredictRequest(source=block.inline(first, count))
