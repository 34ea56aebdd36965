"""Estimators with scikit-learn's interface, computed by a Bary server."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from numbers import Integral, Real
from typing import ClassVar, Literal, Self, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags, check_array, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from bary._requests import FitOptions, SentRows
from bary._results import FitResult, Report
from bary._session import SESSION
from bary._wire import Array
from bary.client import Client

Floats: TypeAlias = npt.NDArray[np.float64] | npt.NDArray[np.float32]
Labels: TypeAlias = npt.NDArray[np.int32]
InitFunction: TypeAlias = Callable[..., npt.ArrayLike]

_DTYPES = (np.float64, np.float32)
_RUNS_OF_RANDOM_INIT = 10
_SEED_MAX = np.iinfo(np.int64).max


class KMeans(
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    ClusterMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
):
    r"""K-means clustering, exact and the same to the last bit on every device.

    A drop-in for `sklearn.cluster.KMeans`: same parameters, attributes, messages and warnings. It
    is computed by the server of `bary.set_client`, else of ``BARY_ADDRESS``, else a private one.

    Parameters
    ----------
    n_clusters : int, default 8
        Number of clusters, at least 1 and at most the number of rows.
    init : {"k-means++", "random"}, callable or array-like of shape (n_clusters, n_features)
        First centers, by default "k-means++": rows drawn far apart, greedily; or rows drawn at
        random; or given. A callable takes ``X, n_clusters, random_state`` and returns centers; it
        runs in this process.
    n_init : "auto" or int, default "auto"
        Runs, of which the lowest inertia wins. "auto": 10 if `init` is "random" or a callable,
        else 1.
    max_iter : int, default 300
        Most rounds of a run.
    tol : float, default 1e-4
        A run ends when the squared shift of all centers is at most `tol` times the mean variance of
        the columns, or no label changed.
    verbose : int, default 0
        1 or more shows a progress bar on stderr.
    random_state : int, RandomState instance or None, default None
        An int is the server's seed as it is; a RandomState gives a 63-bit seed; None takes it from
        numpy's global state.
    copy_x : bool, default True
        Accepted for scikit-learn's sake; the input is never changed.
    algorithm : {"lloyd", "elkan"}, default "lloyd"
        Accepted for scikit-learn's sake; both name the same answer, and the server picks how to
        compute it.

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
        In units of the data and the dtype of the data.
    labels_ : ndarray of int32, shape (n_rows,)
        Index of each row's nearest center.
    inertia_ : float
        Sum of weighted squared distances to the nearest center, in squared units of the data.
    n_iter_ : int
        Rounds of the best run.
    n_features_in_ : int
        Columns seen in `fit`.
    feature_names_in_ : ndarray of str, shape (n_features_in_,)
        Their names, when all of them are strings.
    report_ : bary.client.Report
        Device and method used, and how long each stage took.
    stop_reason_ : str
        "labels_equal", "tolerance" or "max_iter".

    Raises
    ------
    sklearn.utils._param_validation.InvalidParameterError
        A parameter out of its range; raised by `fit`. Also a `ValueError`.
    TypeError
        Sparse input.
    ValueError
        NaN or infinity, fewer rows than clusters, centers of a wrong shape.
    bary.errors.BaryError
        What the server refuses.

    Notes
    -----
    Minimises :math:`\sum_i w_i \min_j \lVert x_i - c_j \rVert^2` by Lloyd's rounds [1]_ from
    greedy k-means++ [2]_. Distances and sums do not depend on order, threads or device. For the
    same first centers the rounds are scikit-learn's; random draws are not, since its generator is
    another.

    A fitted estimator holds its centers, so it pickles and predicts with any server.

    References
    ----------
    .. [1] Lloyd, S. P. (1982). Least squares quantization in PCM. IEEE Transactions on Information
       Theory 28(2), 129-137.
    .. [2] Arthur, D. and Vassilvitskii, S. (2007). k-means++: the advantages of careful seeding.
       SODA 2007, 1027-1035.

    Examples
    --------
    >>> import numpy as np
    >>> from bary import KMeans
    >>> X = np.array([[1, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    >>> kmeans = KMeans(n_clusters=2, init=X[[0, 3]]).fit(X)
    >>> kmeans.labels_
    array([0, 0, 0, 1, 1, 1], dtype=int32)
    >>> kmeans.predict([[0, 0], [12, 3]])
    array([0, 1], dtype=int32)
    >>> kmeans.cluster_centers_
    array([[ 1.,  2.],
           [10.,  2.]])
    """

    _parameter_constraints: ClassVar[dict[str, list[object]]] = {
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "init": [StrOptions({"k-means++", "random"}), callable, "array-like"],
        "n_init": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
        "copy_x": ["boolean"],
        "algorithm": [StrOptions({"lloyd", "elkan"})],
    }

    cluster_centers_: Floats
    labels_: Labels
    inertia_: float
    n_iter_: int
    report_: Report
    stop_reason_: str

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Literal["k-means++", "random"] | InitFunction | npt.ArrayLike = "k-means++",
        n_init: int | Literal["auto"] = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
        copy_x: bool = True,
        algorithm: Literal["lloyd", "elkan"] = "lloyd",
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.random_state = random_state
        self.copy_x = copy_x
        self.algorithm = algorithm

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        return int(self.cluster_centers_.shape[0])

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(
        self, X: npt.ArrayLike, y: object = None, sample_weight: npt.ArrayLike | None = None
    ) -> Self:
        """Find the centers.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Dense numbers; float32 stays float32, everything else becomes float64.
        y : ignored
            There for scikit-learn's sake.
        sample_weight : array-like of shape (n_rows,), optional
            Weights, at least 0. Weight 2 is the same as the row twice; weight 0 as if it were not
            there, but for its label.

        Returns
        -------
        KMeans
            Itself.

        Raises
        ------
        ValueError
            See the class; so are the others.
        """
        rows = validate_data(self, X, dtype=_DTYPES, accept_large_sparse=False)
        if rows.shape[0] < self.n_clusters:
            raise ValueError(
                f"n_samples={rows.shape[0]} should be >= n_clusters={self.n_clusters}."
            )
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, rows, dtype=rows.dtype)
        init, runs = self._first_centers(rows)
        self._adopt(self._run(rows, weights, init, runs), rows.dtype)
        return self

    def _first_centers(self, rows: Floats) -> tuple[list[str] | list[Array], int]:
        """What the runs start from: one name or array for all runs, or an array for each."""
        runs = self._runs()
        if isinstance(self.init, str):
            return [self.init], runs
        if callable(self.init):
            random_state = check_random_state(self.random_state)
            made = [
                self.init(rows, self.n_clusters, random_state=random_state) for _ in range(runs)
            ]
            return [self._checked_centers(centers, rows) for centers in made], 1
        if runs != 1:
            warnings.warn(
                "Explicit initial center position passed: performing only one init in "
                f"{type(self).__name__} instead of n_init={runs}.",
                RuntimeWarning,
                stacklevel=4,
            )
        return [self._checked_centers(self.init, rows)], 1

    def _runs(self) -> int:
        if self.n_init != "auto":
            return int(self.n_init)
        drawn = callable(self.init) or (isinstance(self.init, str) and self.init == "random")
        return _RUNS_OF_RANDOM_INIT if drawn else 1

    def _checked_centers(self, centers: object, rows: Floats) -> Array:
        array = check_array(centers, dtype=rows.dtype, order="C")
        if array.shape[0] != self.n_clusters:
            raise ValueError(
                f"The shape of the initial centers {array.shape} does not match the number of "
                f"clusters {self.n_clusters}."
            )
        if array.shape[1] != rows.shape[1]:
            raise ValueError(
                f"The shape of the initial centers {array.shape} does not match the number of "
                f"features of the data {rows.shape[1]}."
            )
        return cast(Array, array)

    def _seed(self) -> int:
        if isinstance(self.random_state, Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(_SEED_MAX, dtype=np.int64))

    def _run(
        self, rows: Floats, weights: Array | None, init: list[str] | list[Array], runs: int
    ) -> FitResult:
        """The best of one fit per entry of `init`, over rows that are sent once."""
        client = SESSION.client()
        options = [
            FitOptions(
                n_clusters=int(self.n_clusters),
                init=start,  # type: ignore[arg-type]
                n_init=runs,
                max_iter=int(self.max_iter),
                tol=float(self.tol),
                random_state=self._seed(),
            )
            for start in init
        ]
        with client.rows(rows, weights, options=options[0]) as sent:
            results = [self._one(client, sent, each) for each in options]
        return min(results, key=lambda result: result.inertia)

    def _one(self, client: Client, sent: SentRows, options: FitOptions) -> FitResult:
        if not self.verbose:
            return client.start_fit(sent, options, wait=np.inf).result()
        from bary._progress import follow

        job = client.start_fit(sent, options)
        follow(job)
        return job.result()

    def _adopt(self, result: FitResult, dtype: np.dtype[np.floating]) -> None:
        labels = cast(Labels, result.labels)
        distinct = len(np.unique(labels))
        if distinct < self.n_clusters:
            warnings.warn(
                f"Number of distinct clusters ({distinct}) found smaller than n_clusters "
                f"({self.n_clusters}). Possibly due to duplicate points in X.",
                ConvergenceWarning,
                stacklevel=4,
            )
        self._exact_centers = result.cluster_centers
        self.cluster_centers_ = result.cluster_centers.astype(dtype)
        self.labels_ = labels
        self.inertia_ = result.inertia
        self.n_iter_ = result.n_iter
        self.report_ = result.report
        self.stop_reason_ = result.stop_reason

    def _centers(self) -> Floats:
        """The centers to predict with.

        `cluster_centers_` is rounded to the dtype of the data; the fit's labels are those of the
        centers before that. Whoever replaces `cluster_centers_` means the new ones.
        """
        shown = self.cluster_centers_
        exact: npt.NDArray[np.float64] | None = getattr(self, "_exact_centers", None)
        if exact is None or not np.array_equal(shown, exact.astype(shown.dtype)):
            return shown
        return exact

    def _rows(self, X: npt.ArrayLike) -> Floats:
        rows = validate_data(self, X, reset=False, dtype=_DTYPES, accept_large_sparse=False)
        return cast(Floats, rows)

    def predict(self, X: npt.ArrayLike) -> Labels:
        """Label rows by their nearest center, the lowest index on a tie.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Dense numbers.

        Returns
        -------
        ndarray of int32, shape (n_rows,)
            For the rows of `fit`, equal to `labels_`.
        """
        check_is_fitted(self)
        rows = self._rows(X)
        return cast(Labels, SESSION.client().predict(self._centers(), rows).labels)

    def fit_predict(
        self, X: npt.ArrayLike, y: object = None, sample_weight: npt.ArrayLike | None = None
    ) -> Labels:
        """Fit, and return `labels_`.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        ndarray of int32, shape (n_rows,)
            Index of each row's nearest center.
        """
        return cast(Labels, self.fit(X, sample_weight=sample_weight).labels_)

    def transform(self, X: npt.ArrayLike) -> Floats:
        """Compute the distance of each row to each center.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Dense numbers.

        Returns
        -------
        ndarray of shape (n_rows, n_clusters)
            Euclidean, in units of the data, in the dtype of `X`.
        """
        check_is_fitted(self)
        rows = self._rows(X)
        answer = SESSION.client().predict(self._centers(), rows, labels=False, distances=True)
        distances = cast(Floats, answer.distances)
        return cast(Floats, distances.astype(rows.dtype, copy=False))

    def fit_transform(
        self, X: npt.ArrayLike, y: object = None, sample_weight: npt.ArrayLike | None = None
    ) -> Floats:
        """Fit, and return `transform` of the same rows.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_rows, n_clusters)
            Euclidean distances, in units of the data.
        """
        return cast(Floats, self.fit(X, sample_weight=sample_weight).transform(X))

    def score(
        self, X: npt.ArrayLike, y: object = None, sample_weight: npt.ArrayLike | None = None
    ) -> float:
        """Return the negative inertia of rows, so that more is better.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Dense numbers.
        y : ignored
            There for scikit-learn's sake.
        sample_weight : array-like of shape (n_rows,), optional
            Weights, at least 0.

        Returns
        -------
        float
            In squared units of the data.
        """
        check_is_fitted(self)
        rows = self._rows(X)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, rows, dtype=rows.dtype)
        return -SESSION.client().evaluate(self._centers(), rows, sample_weight=weights).inertia
