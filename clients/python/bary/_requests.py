"""Requests from Python values: pure, so that a blocking and an asyncio client can share them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from bary import errors
from bary._descriptions import DatasetInfo
from bary._proto import clustering_service_pb2 as clustering
from bary._proto import dataset_service_pb2 as dataset
from bary._proto import types_pb2 as types
from bary._wire import (
    CHUNK_BYTES,
    INLINE_BYTES_MAX,
    Array,
    Block,
    as_block,
    as_weights,
    to_matrix,
)

# The server gives no unary call longer than this; a wait in it ends a little before.
CALL_SECONDS_MAX = 60.0
WAIT_SECONDS = CALL_SECONDS_MAX - 5.0

WEIGHT_COLUMN = "sample_weight"

# Of the 4 MiB of a message: what rows in it and first centers beside them may take together, and
# what centers may take that leave room for a chunk of rows.
MESSAGE_BYTES = INLINE_BYTES_MAX + 4096
MODEL_BYTES = INLINE_BYTES_MAX - CHUNK_BYTES // 2

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
        Fail rather than compute in a lesser way (in small tiles, streamed) or elsewhere.
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


class SentRows:
    """Rows as a request names them."""

    def __init__(
        self,
        source: types.Source,
        weights: types.Weights | None,
        rows: int,
        columns: int,
        *,
        inline: bool,
    ) -> None:
        self.source = source
        self.weights = weights
        self.rows = rows
        self.columns = columns
        self.inline = inline


class RowsPlan:
    """How rows travel: in the call itself (`inline`), or as a dataset made of `block`."""

    def __init__(self, block: Block, features: int, column: str, inline: SentRows | None) -> None:
        self.block = block
        self.inline = inline
        self._features = features
        self._column = column

    def sent(self, name: str) -> SentRows:
        """The rows, once `block` is the dataset of this name."""
        weights = types.Weights(column=self._column) if self._column else None
        source = types.Source(dataset=types.DatasetRef(name=name))
        return SentRows(source, weights, self.block.rows, self._features, inline=False)


def plan_rows(
    X: npt.ArrayLike,
    sample_weight: npt.ArrayLike | str | None,
    columns: Sequence[str],
    options: FitOptions | None,
) -> RowsPlan:
    """Decide by size; weights go beside rows in the call, and as one more column of a dataset."""
    block = as_block(X)
    if columns:
        raise errors.UnsupportedError("columns are for a Dataset; select them of the table")
    if isinstance(sample_weight, str):
        raise errors.UnsupportedError("sample_weight by name is for a Dataset; give its values")
    weights = None if sample_weight is None else as_weights(sample_weight, block.rows)
    extra = 0 if weights is None else weights.nbytes
    if options is not None and not isinstance(options.init, str):
        extra += options.init.nbytes
    if block.bytes + extra <= INLINE_BYTES_MAX:
        message = None
        if weights is not None:
            message = types.Weights(values=to_matrix(weights, WEIGHT_COLUMN))
        inline = SentRows(block.inline(), message, block.rows, block.columns, inline=True)
        return RowsPlan(block, block.columns, "", inline)
    features, column = block.columns, ""
    if weights is not None:
        block, column = block.with_column(WEIGHT_COLUMN, weights)
    return RowsPlan(block, features, column, None)


def dataset_rows(
    info: DatasetInfo, sample_weight: npt.ArrayLike | str | None, columns: Sequence[str]
) -> SentRows:
    """Rows that the server holds."""
    weights = None
    if isinstance(sample_weight, str):
        weights = types.Weights(column=sample_weight)
    elif sample_weight is not None:
        values = as_weights(sample_weight, info.rows)
        weights = types.Weights(values=to_matrix(values, WEIGHT_COLUMN))
    width = sum(column.width for column in info.columns)
    return SentRows(dataset_source(info.name, columns), weights, info.rows, width, inline=False)


def create_request(block: Block, name: str, ttl: float | None) -> dataset.CreateDatasetRequest:
    """A dataset for the rows of a block."""
    request = dataset.CreateDatasetRequest(
        id=name,
        encoding=dataset.ENCODING_BLOCKS,
        schema=block.schema(),
        rows=block.rows,
        request_id=request_id(),
    )
    if ttl is not None:
        request.ttl.FromNanoseconds(int(ttl * 1e9))
    return request


def job_state(state: str) -> str:
    """A state's name on the wire, from its name in lower case; "" is any."""
    name = "JOB_STATE_" + (state or "unspecified").upper()
    if name not in types.JobState.keys():  # noqa: SIM118 - no mapping
        raise errors.UnknownValueError(f"state is {state!r}, unknown")
    return name


def fit_request(
    rows: SentRows, options: FitOptions, wait: float
) -> tuple[clustering.FitRequest, bool]:
    """A fit without init centers, and whether it is ephemeral.

    It is when it is waited for, its rows are in the call, its model is not kept and its answer
    fits a message: the server forgets it, so nothing could be read later.
    """
    request = fit_message(rows.source, options, rows.weights)
    answer_bytes = 4 * rows.rows + 8 * options.n_clusters * rows.columns
    ephemeral = wait > 0 and rows.inline and not options.model and answer_bytes <= INLINE_BYTES_MAX
    if ephemeral:
        request.options.wait.FromNanoseconds(int(min(wait, WAIT_SECONDS) * 1e9))
    return request, ephemeral


def put_init(request: clustering.FitRequest | clustering.FitBatchRequest, centers: Array) -> bool:
    """Put first centers into a fit; False when they are too many and need a dataset."""
    if centers.nbytes + request.ByteSize() > MESSAGE_BYTES:
        return False
    request.init_centers.CopyFrom(to_matrix(centers, "init"))
    return True


def model_centers(centers: Array) -> types.ModelRef | None:
    """Centers in a message; None when they are too many and need a dataset."""
    if centers.nbytes > MODEL_BYTES:
        return None
    return types.ModelRef(centers=to_matrix(centers, "centers"))


def fit_message(
    source: types.Source, options: FitOptions, weights: types.Weights | None
) -> clustering.FitRequest:
    """Source, weights and options of a fit, with a request id of its own."""
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
    *,
    labels: bool,
    distances: bool,
    non_finite: NonFinite,
    placement: Placement,
) -> clustering.PredictRequest:
    """A prediction without its rows, or the first message of a stream of them."""
    if not labels and not distances:
        raise errors.MissingError("labels and distances are both False: nothing is asked for")
    request = clustering.PredictRequest(
        model=model,
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
    request.options.wait.FromNanoseconds(int(WAIT_SECONDS * 1e9))
    return request


def predict_fits(head: clustering.PredictRequest, block: Block, n_clusters: int) -> bool:
    """Whether rows and answer each fit one message."""
    answer_bytes = block.rows * (4 + (8 * n_clusters if head.distances else 0))
    request_bytes = block.bytes + head.ByteSize()
    return max(request_bytes, answer_bytes) <= INLINE_BYTES_MAX


def predict_chunks(
    head: clustering.PredictRequest, block: Block, n_clusters: int
) -> Iterator[clustering.PredictRequest]:
    """The messages of a stream: the model, then rows in chunks whose answers fit a message."""
    yield head
    bytes_max = CHUNK_BYTES
    if head.distances:
        rows_max = max(1, INLINE_BYTES_MAX // (8 * max(1, n_clusters) + 4))
        bytes_max = min(bytes_max, rows_max * block.bytes_per_row)
    for first, count in block.chunks(bytes_max):
        yield clustering.PredictRequest(source=block.inline(first, count))
