"""`fit_batch`: many small problems in one call, against fits of each alone."""

from __future__ import annotations

import numpy as np
import pytest

import bary
from bary import errors


@pytest.fixture
def tensor() -> np.ndarray:
    """30 problems of 40 rows and 3 columns."""
    random = np.random.default_rng(5)
    return random.normal(size=(30, 40, 3)) + random.integers(0, 3, size=(30, 40, 1)) * 6.0


def same(one: bary.client.ProblemResult, alone: bary.client.FitResult) -> None:
    assert np.array_equal(one.cluster_centers, alone.cluster_centers)
    assert np.array_equal(one.labels, alone.labels)
    assert np.array_equal(one.sizes, alone.sizes)
    assert (one.inertia, one.n_iter) == (alone.inertia, alone.n_iter)
    assert one.stop_reason == alone.stop_reason
    assert one.label_fingerprint == alone.label_fingerprint


def test_a_tensor_gives_arrays_over_problems(client: bary.Client, tensor: np.ndarray) -> None:
    result = bary.fit_batch(tensor, 3, random_state=4, client=client)
    assert result.cluster_centers.shape == (30, 3, 3)
    assert result.labels is not None
    assert result.labels.shape == (30, 40)
    assert result.sizes.sum(axis=1).tolist() == [40] * 30
    assert len(result) == 30
    assert result.ok.all()
    assert not result.errors
    assert result.random_state == 4
    assert result.report.method == "many small fits"
    for p in (0, 17, 29):
        same(result[p], client.fit(tensor[p], 3, random_state=4).result())
        assert np.array_equal(result.cluster_centers[p], result[p].cluster_centers)
    same(result[-1], client.fit(tensor[29], 3, random_state=4).result())


def test_a_list_is_ragged_and_may_have_numbers_of_its_own(
    client: bary.Client, tensor: np.ndarray
) -> None:
    parts = [tensor[0, :10], tensor[1, :35], tensor[2]]
    result = client.fit_batch(parts, [1, 4, 7], random_state=[1, 2, 3]).result()
    assert result.row_offsets.tolist() == [0, 10, 45, 85]
    assert result.center_offsets.tolist() == [0, 1, 5, 12]
    assert result.cluster_centers.shape == (12, 3)
    assert result.labels is not None
    assert result.labels.shape == (85,)
    for p, part in enumerate(parts):
        same(result[p], client.fit(part, [1, 4, 7][p], random_state=p + 1).result())


def test_rows_with_offsets_are_the_same_problems(client: bary.Client, tensor: np.ndarray) -> None:
    flat = client.fit_batch(
        tensor.reshape(-1, 3), 3, row_offsets=range(0, 1201, 40), random_state=4
    ).result()
    whole = client.fit_batch(tensor, 3, random_state=4).result()
    assert np.array_equal(flat.cluster_centers, whole.cluster_centers)


def test_given_centers_and_weights_are_one_below_the_other(
    client: bary.Client, tensor: np.ndarray
) -> None:
    weight = np.abs(np.random.default_rng(0).normal(size=1200))
    first = np.concatenate([problem[:2] for problem in tensor])
    result = client.fit_batch(
        tensor, 2, init=first, sample_weight=weight, max_iter=2, tol=0, empty_clusters="keep"
    ).result()
    alone = client.fit(
        tensor[7],
        2,
        init=tensor[7, :2],
        sample_weight=weight[280:320],
        max_iter=2,
        tol=0,
        empty_clusters="keep",
    ).result()
    same(result[7], alone)


def test_one_bad_problem_fails_alone_with_its_error(
    client: bary.Client, tensor: np.ndarray
) -> None:
    X = tensor[:4].copy()
    X[2, 5, 1] = np.nan
    result = client.fit_batch(X, [3, 41, 3, 3], random_state=0).result()
    assert result.ok.tolist() == [True, False, False, True]
    assert sorted(result.errors) == [1, 2]
    assert isinstance(result.errors[1], errors.TooFewRowsError)
    assert np.isnan(result.inertia[1:3]).all()
    assert np.isnan(
        result.cluster_centers[result.center_offsets[2] : result.center_offsets[3]]
    ).all()
    assert result.stop_reasons[1] == ""
    with pytest.raises(errors.NonFiniteError, match=r"X\[2\] has 1 non-finite values") as caught:
        result[2]
    assert caught.value.metadata["row"] == "5"
    with pytest.raises(errors.TooFewRowsError):
        result.raise_errors()
    with pytest.raises(errors.TooFewRowsError):
        list(result)
    same(result[3], client.fit(tensor[3], 3, random_state=0).result())


def test_errors_beyond_what_an_answer_names_have_their_reason(client: bary.Client) -> None:
    result = client.fit_batch(np.full((600, 2, 1), np.nan), 1).result()
    assert len(result.errors) == 600
    assert isinstance(result.errors[599], errors.NonFiniteError)
    assert "599" in str(result.errors[599])


def test_many_problems_go_as_a_dataset_and_come_back_in_chunks(client: bary.Client) -> None:
    """8 MB of rows, 5 MB of centers: neither fits a message."""
    X = np.random.default_rng(2).normal(size=(20_000, 8, 8)).astype(np.float32)
    result = client.fit_batch(X, 4, random_state=1).result()
    assert result.cluster_centers.shape == (20_000, 4, 8)
    assert result.ok.all()
    same(result[19_999], client.fit(X[19_999], 4, random_state=1).result())
    assert client.datasets.list() == []


def test_rows_of_a_dataset(client: bary.Client, tensor: np.ndarray) -> None:
    with client.datasets.upload(tensor.reshape(-1, 3)) as data:
        result = client.fit_batch(data, 3, row_offsets=[0, 40, 1200], random_state=4).result()
    same(result[0], client.fit(tensor[0], 3, random_state=4).result())


@pytest.mark.parametrize(
    ("X", "fields", "message"),
    [
        (np.zeros((4, 2)), {}, "row_offsets is missing"),
        (np.zeros((2, 4, 2)), {"row_offsets": [0, 4, 8]}, "row_offsets are for rows"),
        ([np.zeros((3, 2)), np.zeros((3, 1))], {}, "1, 2 columns"),
        (np.zeros((4, 2)), {"row_offsets": [0]}, "row_offsets has shape"),
        (np.zeros((2, 4, 2)), {"n_clusters": [1, 1, 1]}, r"n_clusters has shape \(3,\)"),
        (np.zeros((2, 4, 2)), {"random_state": [1]}, r"random_state has shape \(1,\)"),
        (np.zeros((2, 4, 2)), {"n_clusters": 0}, "n_clusters is 0"),
    ],
)
def test_what_does_not_fit_together_is_named(
    client: bary.Client, X: object, fields: dict[str, object], message: str
) -> None:
    with pytest.raises((errors.BaryError), match=message):
        client.fit_batch(X, **{"n_clusters": 1, **fields}).result()


def test_clusters_are_whole_numbers(client: bary.Client) -> None:
    with pytest.raises(TypeError, match="n_clusters has dtype float64"):
        client.fit_batch(np.zeros((1, 4, 2)), 1.5)
