"""The blocking client: `connect` gives a `Client`, whose calls give plain objects and `Job`s."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Literal, TypeAlias

import numpy.typing as npt

from bary import _methods as methods
from bary import errors
from bary._batches import BatchResult, ProblemResult, Problems, batch_request, problems_of, stacked
from bary._channel import Channel
from bary._datasets import Dataset, Datasets
from bary._descriptions import DatasetInfo, ModelInfo, ServerInfo
from bary._failure import from_job
from bary._jobs import BatchJob, Job, Jobs
from bary._models import Models
from bary._proto import clustering_service_pb2 as clustering
from bary._proto import server_service_pb2 as server
from bary._proto import types_pb2 as types
from bary._requests import (
    CALL_SECONDS_MAX,
    EmptyClusters,
    FitOptions,
    InitName,
    NonFinite,
    Placement,
    SentRows,
    as_centers,
    dataset_rows,
    dataset_source,
    evaluate_request,
    fit_request,
    model_centers,
    plan_rows,
    predict_chunks,
    predict_fits,
    predict_request,
    put_init,
)
from bary._results import (
    EvaluateResult,
    FitResult,
    FloatArray,
    JobStatus,
    PredictResult,
    Progress,
    Report,
)
from bary._session import CONNECT_SECONDS, SESSION
from bary._wire import Array, as_block

_INTERRUPT_SECONDS = 2.0


def connect(address: str | None = None, timeout: float = CONNECT_SECONDS) -> Client:
    """Connect to a server, and start a private one when none is named.

    Parameters
    ----------
    address : str, optional
        "host:port" or "unix:/path". Default: the environment's ``BARY_ADDRESS``, else a private
        server: one per process tree, on a unix socket, ended with the process that started it.
    timeout : float, default 20.0
        Seconds within which the server must answer.

    Returns
    -------
    Client
        Safe for threads, and for use after a fork.

    Raises
    ------
    bary.errors.UnreachableError
        No server answers there, or a private one cannot be started. Also a `ConnectionError`.

    Examples
    --------
    >>> import bary
    >>> with bary.connect() as client:
    ...     any(device.state == "OK" for device in client.server().devices)
    True
    """
    if address is None:
        address = SESSION.address(timeout)
    client = Client(address)
    try:
        client._channel.unary(
            methods.SERVER_GET, server.GetServerRequest(), timeout, wait_for_ready=True
        )
    except errors.DeadlineError as error:
        why = f"nothing answered within {timeout:g} s"
        raise errors.UnreachableError(
            f"no server answers at '{address}': {why}", {"address": address, "why": why}
        ) from error
    return client


Rows: TypeAlias = npt.ArrayLike | Dataset
"""What holds rows: an array, a pandas, polars or Arrow table, or a `Dataset`."""


class Client:
    """Calls of one server. `connect` makes one.

    Attributes
    ----------
    address : str
        Where the server is.
    datasets, models, jobs : Datasets, Models, Jobs
        What the server holds.
    timeout : float
        Seconds that a single call may take, repeats included; 60 by default. A job may take longer.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.timeout = CALL_SECONDS_MAX
        self._channel = Channel(address)
        self.datasets = Datasets(self)
        self.models = Models(self)
        self.jobs = Jobs(self)

    def __repr__(self) -> str:
        return f"Client({self.address!r})"

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. A private server goes on until its process ends."""
        self._channel.close()

    def _unary(
        self,
        method: methods.Method[methods.Request, methods.Response],
        request: methods.Request,
        timeout: float | None = None,
    ) -> methods.Response:
        return self._channel.unary(method, request, self.timeout if timeout is None else timeout)

    def server(self) -> ServerInfo:
        """Return what the server is, may and has."""
        return ServerInfo.of(self._unary(methods.SERVER_GET, server.GetServerRequest()))

    def fit(
        self,
        X: Rows,
        n_clusters: int,
        *,
        init: InitName | npt.ArrayLike = "k-means++",
        n_init: int | Literal["auto"] = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        fixed_rounds: bool = False,
        random_state: int | None = None,
        sample_weight: npt.ArrayLike | str | None = None,
        non_finite: NonFinite = "reject",
        empty_clusters: EmptyClusters = "relocate",
        model: str = "",
        labels: bool = True,
        history: bool = False,
        columns: Sequence[str] = (),
        placement: Placement = Placement(),  # noqa: B008 - immutable
        tags: Sequence[str] = (),
        max_runtime: float | None = None,
        wait: float = 0.0,
    ) -> Job:
        """Start a k-means fit.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features), table, or Dataset
            The rows. Up to 3 MiB travel in the call itself; more goes as a dataset that is deleted
            when the job is over. A `Dataset` is not sent again.
        n_clusters : int
            1 to the number of rows that take part.
        init : {"k-means++", "random"} or array-like of shape (n_clusters, n_features)
            First centers.
        n_init : int or "auto", default "auto"
            Runs, of which the lowest inertia wins. "auto": 1, and 10 with ``init="random"``.
        max_iter : int, default 300
            Most rounds of a run.
        tol : float, default 1e-4
            A run ends when the squared shift of all centers is at most `tol` times the mean
            variance of the columns.
        fixed_rounds : bool, default False
            Exactly `max_iter` rounds, no test.
        random_state : int, optional
            Seed, 0 to 2**64 - 1. Default: the server draws one, which the result names.
        sample_weight : array-like of shape (n_rows,), or str, optional
            Weights, at least 0; a row of weight 0 gets a label and otherwise does not exist. For a
            `Dataset` the name of a column.
        non_finite : {"reject", "skip"}, default "reject"
            What becomes of rows with NaN or infinity; skipped ones get the label -1.
        empty_clusters : {"relocate", "keep", "error"}, default "relocate"
            What becomes of a cluster that lost all rows: it takes the farthest row, as in
            scikit-learn, or keeps its center, or the fit fails.
        model : str, default ""
            Name to keep the model under, as a new version; "": it is not kept.
        labels : bool, default True
            Whether the result holds labels.
        history : bool, default False
            Whether the result holds the inertia of each round.
        columns : sequence of str, default ()
            Of a `Dataset`, the features; (): all columns.
        placement : Placement, optional
            Where to compute.
        tags : sequence of str, default ()
            At most 16.
        max_runtime : float, optional
            Seconds after which the job fails.
        wait : float, default 0.0
            Seconds to wait for its end before the handle is given. With rows in the call and no
            `model` the fit then is *ephemeral*: one round trip, and the server forgets it.

        Returns
        -------
        Job
            Its handle; ``fit(...).result()`` waits for the result.

        Raises
        ------
        bary.errors.BaryError
            What the server refuses; `KeyboardInterrupt` while waiting cancels the job.

        Notes
        -----
        Lloyd's algorithm [1]_ from k-means++ [2]_: the label of a row is the lowest index of its
        nearest center, a center the mean of its rows. The answer is a function of data and
        parameters alone, to the last bit.

        References
        ----------
        .. [1] Lloyd, S. P. (1982). Least squares quantization in PCM. IEEE Transactions on
           Information Theory 28(2), 129-137.
        .. [2] Arthur, D. and Vassilvitskii, S. (2007). k-means++: the advantages of careful
           seeding. SODA 2007, 1027-1035.

        Examples
        --------
        >>> import bary
        >>> client = bary.connect()
        >>> X = [[0.0, 0.0], [0.0, 1.0], [9.0, 9.0], [9.0, 8.0]]
        >>> fit = client.fit(X, 2, init=[[0, 0], [9, 9]]).result()
        >>> fit.labels.tolist(), fit.inertia
        ([0, 0, 1, 1], 1.0)
        """
        options = FitOptions(
            n_clusters=n_clusters,
            init=init if isinstance(init, str) else as_centers(init),  # type: ignore[arg-type]
            n_init=n_init,
            max_iter=max_iter,
            tol=tol,
            fixed_rounds=fixed_rounds,
            random_state=random_state,
            non_finite=non_finite,
            empty_clusters=empty_clusters,
            model=model,
            labels=labels,
            history=history,
            placement=placement,
            tags=tags,
            max_runtime=max_runtime,
        )
        with self.rows(X, sample_weight, columns, options) as rows:
            return self.start_fit(rows, options, wait)

    @contextlib.contextmanager
    def rows(
        self,
        X: Rows,
        sample_weight: npt.ArrayLike | str | None = None,
        columns: Sequence[str] = (),
        options: FitOptions | None = None,
    ) -> Iterator[SentRows]:
        """Rows and weights where several fits can use them: in the call, or as a dataset.

        A dataset that this makes is deleted at the end; jobs that were started keep its memory.
        """
        if isinstance(X, Dataset):
            yield dataset_rows(X.info, sample_weight, columns)
            return
        plan = plan_rows(X, sample_weight, columns, options)
        if plan.inline is not None:
            yield plan.inline
            return
        with self.datasets._upload(plan.block) as sent:
            yield plan.sent(sent.name)

    def start_fit(self, rows: SentRows, options: FitOptions, wait: float = 0.0) -> Job:
        """Start a fit over rows that `rows` sent."""
        request, ephemeral = fit_request(rows, options, wait)
        with contextlib.ExitStack() as stack:
            if not isinstance(options.init, str):
                self._put_init(stack, request, options.init)
            started = self._submit(methods.FIT, request, ephemeral)
        job = Job(self, started, owned=True)
        if wait > 0 and not ephemeral:
            with contextlib.suppress(errors.DeadlineError):
                job.wait(wait)
        return job

    def _submit(
        self,
        method: methods.Method[methods.Request, types.Job],
        request: methods.Request,
        ephemeral: bool,
    ) -> types.Job:
        """Send a fit. An interrupt ends an ephemeral one with its call; others are cancelled."""
        try:
            return self._unary(method, request, timeout=CALL_SECONDS_MAX)
        except KeyboardInterrupt:
            if not ephemeral:
                with contextlib.suppress(errors.BaryError):
                    # The same request id: the answer is the job that the first one started.
                    started = self._unary(method, request, timeout=_INTERRUPT_SECONDS)
                    self.jobs.cancel(name=started.name)
            raise

    def fit_batch(
        self,
        X: Rows | Sequence[npt.ArrayLike],
        n_clusters: int | npt.ArrayLike,
        *,
        row_offsets: npt.ArrayLike | None = None,
        init: InitName | npt.ArrayLike = "k-means++",
        n_init: int | Literal["auto"] = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        fixed_rounds: bool = False,
        random_state: int | npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | str | None = None,
        non_finite: NonFinite = "reject",
        empty_clusters: EmptyClusters = "relocate",
        labels: bool = True,
        columns: Sequence[str] = (),
        placement: Placement = Placement(),  # noqa: B008 - immutable
        tags: Sequence[str] = (),
        max_runtime: float | None = None,
        wait: float = 0.0,
    ) -> BatchJob:
        """Start fits of many small independent problems, in one call.

        Parameters are those of `bary.fit_batch`, which also waits for the result; `placement`,
        `tags`, `max_runtime` and `wait` those of `fit`. X may be a `Dataset` with `row_offsets`.

        Returns
        -------
        BatchJob
            Its handle; ``fit_batch(...).result()`` waits for the result.

        Examples
        --------
        >>> import bary
        >>> job = bary.connect().fit_batch([[[0.0], [1.0]], [[5.0], [9.0]]], 1, wait=10)
        >>> job.result().cluster_centers.tolist()
        [[[0.5]], [[7.0]]]
        """
        parts = None if isinstance(X, Dataset) else stacked(X)
        if parts is not None and row_offsets is not None:
            raise errors.UnsupportedError("row_offsets are for rows one below the other, 2-d")
        if parts is None and row_offsets is None:
            raise errors.MissingError("row_offsets is missing: X is neither 3-d nor a list of 2-d")
        rows, offsets = (X, row_offsets) if parts is None else parts
        problems, seed = problems_of(offsets, n_clusters, random_state)  # type: ignore[arg-type]
        options = FitOptions(
            n_clusters=1,
            init=init if isinstance(init, str) else as_centers(init),  # type: ignore[arg-type]
            n_init=n_init,
            max_iter=max_iter,
            tol=tol,
            fixed_rounds=fixed_rounds,
            random_state=seed,
            non_finite=non_finite,
            empty_clusters=empty_clusters,
            labels=labels,
            placement=placement,
            tags=tags,
            max_runtime=max_runtime,
        )
        with self.rows(rows, sample_weight, columns, options) as sent:  # type: ignore[arg-type]
            return self._start_batch(sent, problems, options, wait)

    def _start_batch(
        self, rows: SentRows, problems: Problems, options: FitOptions, wait: float
    ) -> BatchJob:
        request, ephemeral = batch_request(rows, problems, options, wait)
        with contextlib.ExitStack() as stack:
            if not isinstance(options.init, str):
                self._put_init(stack, request, options.init)
            started = self._submit(methods.FIT_BATCH, request, ephemeral)
        job = BatchJob(self, started, problems.row_offsets, owned=True)
        if wait > 0 and not ephemeral:
            with contextlib.suppress(errors.DeadlineError):
                job.wait(wait)
        return job

    def _put_init(
        self,
        stack: contextlib.ExitStack,
        request: clustering.FitRequest | clustering.FitBatchRequest,
        centers: Array,
    ) -> None:
        if put_init(request, centers):
            return
        sent = stack.enter_context(self.datasets._upload(as_block(centers)))
        request.init_dataset.name = sent.name

    def predict(
        self,
        model: str | npt.ArrayLike,
        X: Rows,
        *,
        labels: bool = True,
        distances: bool = False,
        non_finite: NonFinite = "reject",
        placement: Placement = Placement(),  # noqa: B008 - immutable
    ) -> PredictResult:
        """Label rows by their nearest center.

        Parameters
        ----------
        model : str or array-like of shape (n_clusters, n_features)
            Name of a kept model, or centers.
        X : array-like of shape (n_rows, n_features), table, or Dataset
            The rows; over 3 MiB they go, and the answer comes, as a stream.
        labels, distances : bool, default True and False
            What to compute; at least one.
        non_finite : {"reject", "skip"}, default "reject"
            Skipped rows get the label -1.
        placement : Placement, optional
            Where to compute.

        Returns
        -------
        PredictResult
            Labels of shape (n_rows,), distances of shape (n_rows, n_clusters).

        Raises
        ------
        bary.errors.ModelNotFoundError
            No such model.
        bary.errors.ShapeMismatchError
            Another number of columns than the centers have.

        Examples
        --------
        >>> import bary
        >>> bary.connect().predict([[0.0], [9.0]], [[1.0], [8.0]]).labels.tolist()
        [0, 1]
        """
        with self._model(model) as (ref, n_clusters):
            head = predict_request(
                ref,
                labels=labels,
                distances=distances,
                non_finite=non_finite,
                placement=placement,
            )
            answers = self._predict(head, X, n_clusters)
        return PredictResult.of(answers, labels=labels, distances=distances)

    def _predict(
        self, head: clustering.PredictRequest, X: Rows, n_clusters: int
    ) -> list[clustering.PredictResponse]:
        if isinstance(X, Dataset):
            head.source.CopyFrom(dataset_source(X.name))
            return list(self._channel.both(methods.PREDICT_STREAM, [head]))
        block = as_block(X)
        if predict_fits(head, block, n_clusters):
            head.source.CopyFrom(block.inline())
            return [self._unary(methods.PREDICT, head)]
        chunks = predict_chunks(head, block, n_clusters)
        return list(self._channel.both(methods.PREDICT_STREAM, chunks))

    @contextlib.contextmanager
    def _model(self, model: str | npt.ArrayLike) -> Iterator[tuple[types.ModelRef, int]]:
        """The model by name, in the message, or (centers over 3 MiB) as a dataset."""
        if isinstance(model, str):
            info = self.models.get(model)
            yield types.ModelRef(name=info.name), info.n_clusters
            return
        centers = as_centers(model)
        ref = model_centers(centers)
        if ref is not None:
            yield ref, len(centers)
            return
        with self.datasets._upload(as_block(centers)) as sent:
            yield types.ModelRef(dataset=types.DatasetRef(name=sent.name)), len(centers)

    def evaluate(
        self,
        model: str | npt.ArrayLike,
        X: Rows,
        *,
        sample_weight: npt.ArrayLike | str | None = None,
        non_finite: NonFinite = "reject",
        columns: Sequence[str] = (),
        placement: Placement = Placement(),  # noqa: B008 - immutable
    ) -> EvaluateResult:
        """Compute the inertia of rows under a model.

        Parameters
        ----------
        model : str or array-like of shape (n_clusters, n_features)
            Name of a kept model, or centers.
        X, sample_weight, non_finite, columns, placement
            As in `fit`.

        Returns
        -------
        EvaluateResult
            Total and per cluster.

        Raises
        ------
        bary.errors.ModelNotFoundError
            No such model.
        bary.errors.ShapeMismatchError
            Another number of columns than the centers have.

        Examples
        --------
        >>> import bary
        >>> bary.connect().evaluate([[0.0], [9.0]], [[1.0], [7.0]]).inertia
        5.0
        """
        with self._model(model) as (ref, _), self.rows(X, sample_weight, columns) as rows:
            request = evaluate_request(
                ref, rows.source, rows.weights, non_finite=non_finite, placement=placement
            )
            answer = self._unary(methods.EVALUATE, request, timeout=CALL_SECONDS_MAX)
            if answer.HasField("result"):
                return EvaluateResult.of(answer.result)
            started = Job(self, answer.job, owned=True)
            started.wait()
            if started._last.HasField("error"):
                raise from_job(started._last.error)
            return EvaluateResult.of(started._last.evaluate)


__all__ = [
    "BatchJob",
    "BatchResult",
    "Client",
    "Dataset",
    "DatasetInfo",
    "Datasets",
    "EvaluateResult",
    "FitResult",
    "FloatArray",
    "Job",
    "JobStatus",
    "Jobs",
    "ModelInfo",
    "Models",
    "Placement",
    "PredictResult",
    "ProblemResult",
    "Progress",
    "Report",
    "Rows",
    "ServerInfo",
    "connect",
]
