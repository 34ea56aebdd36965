"""`bary.fit_batch`: many small problems, fitted at once and waited for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy.typing as npt

from bary._batches import BatchResult
from bary._requests import WAIT_SECONDS, EmptyClusters, InitName, NonFinite
from bary._session import SESSION
from bary.client import Client, Rows


def fit_batch(
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
    client: Client | None = None,
) -> BatchResult:
    """Fit k-means to many small independent problems, in one call.

    Each problem gets the result of its own fit, to the last bit, whatever stands beside it; one
    that fails, fails alone. Fast where problems are small: a thread takes each whole.

    Parameters
    ----------
    X : array-like of shape (problems, n_rows, n_features), list of 2-d arrays, or 2-d rows
        The problems: equally large, or ragged as a list, or one below the other with
        `row_offsets`. At most 65,536 of them, with equally many features. Up to 3 MiB travel in the
        call itself; more goes as a dataset that is deleted when the job is over.
    n_clusters : int or array-like of int, shape (problems,)
        One number for all, or one each; 1 to the number of rows that take part.
    row_offsets : array-like of int, shape (problems + 1,), optional
        Problem p has rows ``row_offsets[p]`` to ``row_offsets[p + 1] - 1`` of a 2-d `X`.
    init : {"k-means++", "random"} or array-like of shape (all clusters, n_features)
        First centers; given ones are those of all problems, one below the other.
    n_init : int or "auto", default "auto"
        Runs, of which the lowest inertia wins. "auto": 1, and 10 with ``init="random"``.
    max_iter : int, default 300
        Most rounds of a run.
    tol : float, default 1e-4
        A run ends when the squared shift of all centers is at most `tol` times the mean variance of
        the problem's columns.
    fixed_rounds : bool, default False
        Exactly `max_iter` rounds, no test.
    random_state : int or array-like of int, shape (problems,), optional
        One seed for all, or one each; 0 to 2**64 - 1. Default: the server draws one for all, which
        the result names.
    sample_weight : array-like of shape (all rows,), optional
        Weights, at least 0; a row of weight 0 gets a label and otherwise does not exist.
    non_finite : {"reject", "skip"}, default "reject"
        Whether a problem with NaN or infinity fails, or such rows get the label -1.
    empty_clusters : {"relocate", "keep", "error"}, default "relocate"
        What becomes of a cluster that lost all rows: it takes the farthest row, or keeps its
        center, or its problem fails.
    labels : bool, default True
        Whether the result holds labels.
    client : Client, optional
        Default: the server that estimators use; see `bary.set_client`.

    Returns
    -------
    BatchResult
        Arrays over all problems; ``result[p]`` is one of them, ``result.errors`` what went wrong.

    Raises
    ------
    bary.errors.BaryError
        What the server refuses of the whole: parameters that all problems share, shapes that do not
        fit together. `KeyboardInterrupt` while waiting cancels the job.

    Notes
    -----
    Lloyd's algorithm [1]_ from k-means++ [2]_, as in `Client.fit`.

    References
    ----------
    .. [1] Lloyd, S. P. (1982). Least squares quantization in PCM. IEEE Transactions on Information
       Theory 28(2), 129-137.
    .. [2] Arthur, D. and Vassilvitskii, S. (2007). k-means++: the advantages of careful seeding.
       SODA 2007, 1027-1035.

    Examples
    --------
    Two problems of four rows, and one of them broken:

    >>> import bary
    >>> import numpy as np
    >>> X = np.array([[[0.0], [1.0], [8.0], [9.0]], [[3.0], [3.5], [np.nan], [7.0]]])
    >>> result = bary.fit_batch(X, 2, init=[[0.0], [9.0], [3.0], [7.0]])
    >>> result[0].labels.tolist(), result.inertia.tolist()
    ([0, 0, 1, 1], [1.0, nan])
    >>> print(result.errors[1])
    X[1] has 1 non-finite values; the first is nan at row 2, column 0

    Ragged ones, with a number of clusters each:

    >>> ragged = bary.fit_batch([[[0.0], [2.0]], [[1.0], [5.0], [6.0]]], [1, 2], random_state=0)
    >>> [problem.cluster_centers.ravel().tolist() for problem in ragged]
    [[1.0], [5.5, 1.0]]
    """
    job = (client or SESSION.client()).fit_batch(
        X,
        n_clusters,
        row_offsets=row_offsets,
        init=init,
        n_init=n_init,
        max_iter=max_iter,
        tol=tol,
        fixed_rounds=fixed_rounds,
        random_state=random_state,
        sample_weight=sample_weight,
        non_finite=non_finite,
        empty_clusters=empty_clusters,
        labels=labels,
        wait=WAIT_SECONDS,
    )
    return job.result()
