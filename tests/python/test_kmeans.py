"""bary.KMeans beside sklearn.cluster.KMeans: its words, its answers from given first centers."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.cluster import KMeans as Theirs
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bary
from conftest import Run

pytestmark = pytest.mark.usefixtures("server")


def both(X: np.ndarray, k: int, **parameters: object) -> tuple[bary.KMeans, Theirs]:
    """Both estimators from the same first centers, the first k distinct rows."""
    init = np.unique(X, axis=0)[:k]
    weights = parameters.pop("sample_weight", None)
    ours = bary.KMeans(k, init=init, n_init=1, **parameters).fit(X, sample_weight=weights)
    theirs = Theirs(k, init=init, n_init=1, **parameters).fit(X, sample_weight=weights)
    return ours, theirs


@pytest.mark.parametrize("load", [load_iris, load_digits], ids=["iris", "digits"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_first_centers_give_their_answer(load: Callable, dtype: type) -> None:
    X = load().data.astype(dtype)
    ours, theirs = both(X, 5)
    assert np.array_equal(ours.labels_, theirs.labels_)
    tight = 1e-9 if dtype is np.float64 else 1e-5
    assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=tight)
    assert np.allclose(ours.cluster_centers_, theirs.cluster_centers_, rtol=1e-5, atol=1e-5)
    assert np.array_equal(ours.predict(X), theirs.predict(X))
    assert np.allclose(ours.transform(X), theirs.transform(X), rtol=1e-4, atol=1e-4)
    assert ours.score(X) == pytest.approx(theirs.score(X), rel=1e-5)


def test_types_and_shapes_are_theirs(blobs: np.ndarray) -> None:
    for dtype in (np.float32, np.float64):
        ours, theirs = both(blobs.astype(dtype), 3)
        for name in ("cluster_centers_", "labels_"):
            mine, other = getattr(ours, name), getattr(theirs, name)
            assert (mine.dtype, mine.shape, mine.flags.writeable) == (
                other.dtype,
                other.shape,
                True,
            )
        assert type(ours.inertia_) is float
        assert type(ours.n_iter_) is int
        assert ours.transform(blobs.astype(dtype)).dtype == dtype
        assert ours.predict(blobs.astype(dtype)).dtype == np.int32
    assert ours.stop_reason_ in ("labels_equal", "tolerance")
    assert ours.report_.backend


def test_a_seed_gives_the_same_bits_and_another_seed_others(blobs: np.ndarray) -> None:
    X = np.random.default_rng(0).random((500, 3))
    one, two = (bary.KMeans(8, random_state=7).fit(X) for _ in range(2))
    assert one.inertia_ == two.inertia_
    assert np.array_equal(one.cluster_centers_, two.cluster_centers_)
    assert bary.KMeans(8, random_state=8).fit(X).inertia_ != one.inertia_


def test_random_state_takes_what_theirs_takes(blobs: np.ndarray) -> None:
    def centers(random_state: object) -> np.ndarray:
        X = np.random.default_rng(0).random((500, 3))
        return bary.KMeans(8, random_state=random_state).fit(X).cluster_centers_

    same = [centers(np.random.RandomState(5)) for _ in range(2)]
    assert np.array_equal(*same)
    drawn = np.random.RandomState(5)
    assert not np.array_equal(centers(drawn), centers(drawn))
    np.random.seed(3)  # noqa: NPY002 - numpy's global state is what None means
    first = centers(None)
    np.random.seed(3)  # noqa: NPY002
    assert np.array_equal(first, centers(None))


def test_weight_two_is_the_row_twice_and_zero_as_if_absent(blobs: np.ndarray) -> None:
    X = blobs[:60]
    weight = np.tile([0.0, 1.0, 2.0], 20)
    init = X[[1, 4, 7]]
    weighted = bary.KMeans(3, init=init).fit(X, sample_weight=weight)
    repeated = bary.KMeans(3, init=init).fit(np.repeat(X, weight.astype(int), axis=0))
    assert weighted.inertia_ == pytest.approx(repeated.inertia_, rel=1e-12)
    assert np.allclose(weighted.cluster_centers_, repeated.cluster_centers_, rtol=1e-12)
    assert len(weighted.labels_) == 60
    theirs = Theirs(3, init=init, n_init=1).fit(X, sample_weight=weight)
    assert np.array_equal(weighted.labels_, theirs.labels_)
    assert weighted.score(X, sample_weight=weight) == pytest.approx(-weighted.inertia_, rel=1e-12)


def test_labels_are_those_of_predict_even_in_float32() -> None:
    """Row 3 lies between 1/3 and 17/3, which float32 rounds towards each other unevenly."""
    X = np.array([[0], [0], [1], [3], [5], [6], [6]], np.float32)
    weight = np.array([1, 1, 1, 0, 1, 1, 1])
    kmeans = bary.KMeans(2, init=X[[0, 6]]).fit(X, sample_weight=weight)
    assert kmeans.cluster_centers_.dtype == np.float32
    assert np.array_equal(kmeans.predict(X), kmeans.labels_)
    rounded = bary.connect().predict(kmeans.cluster_centers_, X).labels
    assert not np.array_equal(rounded, kmeans.labels_)


def test_replaced_centers_are_what_predict_uses(blobs: np.ndarray) -> None:
    kmeans = bary.KMeans(2, random_state=0).fit(blobs)
    kmeans.cluster_centers_ = np.zeros_like(kmeans.cluster_centers_)
    assert set(kmeans.predict(blobs)) == {0}


@pytest.mark.parametrize(
    "parameters",
    [
        {"n_clusters": 0},
        {"n_clusters": 2.5},
        {"init": "nonsense"},
        {"n_init": 0},
        {"n_init": "often"},
        {"max_iter": 0},
        {"tol": -1.0},
        {"tol": "small"},
        {"verbose": "loud"},
        {"random_state": -1},
        {"copy_x": "yes"},
        {"algorithm": "full"},
        {"n_clusters": 301},
        {"init": np.zeros((2, 4)), "n_clusters": 3},
        {"init": np.zeros((3, 5)), "n_clusters": 3},
    ],
    ids=str,
)
def test_wrong_parameters_get_their_message_and_type(
    blobs: np.ndarray, parameters: dict[str, object]
) -> None:
    with pytest.raises(Exception) as theirs:  # noqa: PT011 - whatever it is, ours is the same
        Theirs(**parameters).fit(blobs)
    with pytest.raises(type(theirs.value)) as ours:
        bary.KMeans(**parameters).fit(blobs)
    assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize(
    "X",
    [
        np.array([[1.0, np.nan], [1, 2], [3, 4]]),
        np.array([[1.0, np.inf], [1, 2], [3, 4]]),
        np.array([1.0, 2, 3]),
        np.empty((0, 2)),
        np.array([["a", "b"], ["c", "d"]]),
        np.array([[1 + 2j, 3], [4, 5]]),
    ],
    ids=["nan", "inf", "1-d", "empty", "text", "complex"],
)
def test_wrong_data_gets_their_message_and_type(X: np.ndarray) -> None:
    with pytest.raises(Exception) as theirs:  # noqa: PT011
        Theirs(2).fit(X)
    with pytest.raises(type(theirs.value)) as ours:
        bary.KMeans(2).fit(X)
    assert str(ours.value) == str(theirs.value)


def test_sparse_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="Sparse data was passed"):
        bary.KMeans(2).fit(sparse.csr_matrix(np.eye(4)))


def test_wrong_rows_at_predict_get_their_message(blobs: np.ndarray) -> None:
    ours, theirs = both(blobs, 3)
    for name in ("predict", "transform", "score"):
        with pytest.raises(ValueError, match="features") as other:
            getattr(theirs, name)(blobs[:, :2])
        with pytest.raises(ValueError, match="features") as mine:
            getattr(ours, name)(blobs[:, :2])
        assert str(mine.value) == str(other.value)
    with pytest.raises(NotFittedError):
        bary.KMeans().predict(blobs)


def test_fewer_distinct_points_than_clusters_warn_in_their_words() -> None:
    X = np.repeat([[0.0, 0.0], [1.0, 1.0]], 5, axis=0)
    messages = []
    for kind in (bary.KMeans, Theirs):
        with pytest.warns(ConvergenceWarning) as caught:
            kind(3, random_state=0, n_init=1).fit(X)
        messages.append(str(caught[0].message))
    assert messages[0] == messages[1]


def test_given_centers_with_several_runs_warn_in_their_words(blobs: np.ndarray) -> None:
    messages = []
    for kind in (bary.KMeans, Theirs):
        with pytest.warns(RuntimeWarning, match="performing only one init") as caught:
            kind(3, init=blobs[:3], n_init=4).fit(blobs)
        messages.append(str(caught[0].message))
    assert messages[0] == messages[1]


def test_a_callable_init_runs_here_as_often_as_asked(blobs: np.ndarray) -> None:
    calls = []

    def init(X: np.ndarray, n_clusters: int, random_state: np.random.RandomState) -> np.ndarray:
        calls.append(n_clusters)
        return X[random_state.permutation(len(X))[:n_clusters]]

    ours = bary.KMeans(3, init=init, n_init=4, random_state=0).fit(blobs)
    assert calls == [3] * 4
    theirs = Theirs(3, init=init, n_init=4, random_state=0).fit(blobs)
    assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=1e-9)
    assert len(calls) == 8


def test_no_input_is_changed(blobs: np.ndarray) -> None:
    for order in "CF":
        for copy_x in (True, False):
            X = np.array(blobs, order=order)
            X.flags.writeable = False
            before = X.copy()
            bary.KMeans(3, random_state=0, copy_x=copy_x).fit(X).predict(X)
            assert np.array_equal(X, before)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_frames_give_feature_names(blobs: np.ndarray, make: Callable) -> None:
    frame = make(dict(zip("abcd", blobs.T, strict=True)))
    kmeans = bary.KMeans(3, random_state=0).fit(frame)
    assert kmeans.feature_names_in_.tolist() == list("abcd")
    assert np.array_equal(kmeans.labels_, bary.KMeans(3, random_state=0).fit(blobs).labels_)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(kmeans.predict(frame), kmeans.labels_)


def test_output_can_be_a_frame(blobs: np.ndarray) -> None:
    kmeans = bary.KMeans(3, random_state=0).set_output(transform="pandas")
    out = kmeans.fit_transform(pd.DataFrame(blobs, columns=list("abcd")))
    assert out.columns.tolist() == ["kmeans0", "kmeans1", "kmeans2"]
    assert kmeans.get_feature_names_out().tolist() == out.columns.tolist()


def test_it_clones_and_stands_in_a_pipeline(blobs: np.ndarray) -> None:
    kmeans = bary.KMeans(3, random_state=0, max_iter=17)
    assert clone(kmeans).get_params() == kmeans.get_params()
    pipeline = make_pipeline(StandardScaler(), kmeans)
    labels = pipeline.fit_predict(blobs)
    assert np.array_equal(pipeline.predict(blobs), labels)


def test_its_parameters_and_defaults_are_theirs() -> None:
    assert bary.KMeans().get_params() == Theirs().get_params()


def test_a_pickle_predicts_in_another_process_with_another_server(
    blobs: np.ndarray, python: Run, tmp_path: Path
) -> None:
    kmeans = bary.KMeans(3, random_state=0).fit(blobs.astype(np.float32))
    path = tmp_path / "fitted.pickle"
    path.write_bytes(pickle.dumps((kmeans, blobs)))
    done = python(
        "import pickle, sys, numpy as np\n"
        "kmeans, X = pickle.load(open(sys.argv[1], 'rb'))\n"
        "assert np.array_equal(kmeans.predict(X.astype(np.float32)), kmeans.labels_)\n"
        "print(kmeans.stop_reason_, kmeans.report_.backend)",
        str(path),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [kmeans.stop_reason_, kmeans.report_.backend]


def test_verbose_shows_a_bar_on_stderr_and_nothing_on_stdout(
    blobs: np.ndarray, capfd: pytest.CaptureFixture[str]
) -> None:
    quiet = bary.KMeans(3, random_state=0).fit(blobs)
    assert capfd.readouterr() == ("", "")
    loud = bary.KMeans(3, random_state=0, verbose=1).fit(blobs)
    out, err = capfd.readouterr()
    assert out == ""
    assert "100%" in err
    assert loud.inertia_ == quiet.inertia_


@pytest.mark.parametrize("columns", [1, 3, 200])
def test_rows_beyond_a_message_give_the_same_bits_as_inside(columns: int) -> None:
    """The same rows twice over: once in the call, once (with repeats) as a dataset."""
    X = np.random.default_rng(2).integers(0, 50, (390_000 // columns, columns)).astype(np.float64)
    init = X[:4]
    small = bary.KMeans(4, init=init, max_iter=5).fit(X)
    large = bary.KMeans(4, init=init, max_iter=5).fit(np.asfortranarray(np.tile(X, (2, 1))))
    assert X.nbytes < 3 << 20 < 2 * X.nbytes
    assert large.inertia_ == 2 * small.inertia_
    assert np.array_equal(large.cluster_centers_, small.cluster_centers_)
    assert np.array_equal(large.labels_, np.tile(small.labels_, 2))
    assert np.array_equal(large.predict(np.tile(X, (2, 1))), large.labels_)
    weighted = bary.KMeans(4, init=init, max_iter=5).fit(X, sample_weight=np.full(len(X), 2.0))
    assert weighted.inertia_ == large.inertia_
    assert large.score(np.tile(X, (2, 1))) == -large.inertia_
    assert bary.connect().datasets.list() == []
