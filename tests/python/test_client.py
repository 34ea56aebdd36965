"""The client's calls, against a server."""

from __future__ import annotations

import threading
import time
import uuid

import numpy as np
import pandas as pd
import pytest

import bary
from bary import errors


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return "t" + uuid.uuid4().hex[:12]


def test_a_server_says_what_it_is(client: bary.Client) -> None:
    server = client.server()
    assert server.version
    assert any(device.state == "OK" for device in server.devices)
    assert server.limits["objects"].value > 0
    assert server.numerics_version > 0


def test_a_small_fit_is_one_round_trip_and_leaves_no_job(
    client: bary.Client, blobs: np.ndarray
) -> None:
    before = {job.name for job in client.jobs.list()}
    job = client.fit(blobs, 3, random_state=1, wait=30)
    assert job.status().state == "succeeded"
    result = job.result()
    assert result.labels is not None
    assert np.bincount(result.labels).tolist() == result.sizes.tolist() == [100, 100, 100]
    assert result.random_state == 1
    assert {job.name for job in client.jobs.list()} == before


def test_a_job_is_started_watched_and_read(client: bary.Client, blobs: np.ndarray) -> None:
    job = client.fit(blobs, 3, random_state=1, history=True, tags=["mine"])
    states = list(job.watch())
    assert states[-1].state == "succeeded"
    assert [s.sequence for s in states] == sorted(s.sequence for s in states)
    result = job.result()
    assert len(result.history) == result.n_iter
    assert result.inertia <= result.history[0]
    assert job.name in {j.name for j in client.jobs.list(tag="mine", state="succeeded")}
    again = client.jobs.get(job.name)
    assert again.status().tags == ("mine",)
    assert np.array_equal(again.result().labels, result.labels)


def test_labels_can_be_left_out(client: bary.Client, blobs: np.ndarray) -> None:
    assert client.fit(blobs, 3, labels=False, wait=30).result().labels is None


def test_too_few_rows_is_a_value_error_with_numbers(client: bary.Client) -> None:
    with pytest.raises(errors.TooFewRowsError) as caught:
        client.fit(np.zeros((2, 2)), 3).result()
    assert isinstance(caught.value, ValueError)
    assert (caught.value.metadata["rows"], caught.value.metadata["n_clusters"]) == ("2", "3")


def test_non_finite_rows_are_refused_or_skipped(client: bary.Client, blobs: np.ndarray) -> None:
    X = blobs.copy()
    X[5, 1] = np.nan
    with pytest.raises(errors.NonFiniteError) as caught:
        client.fit(X, 3).result()
    assert (caught.value.metadata["row"], caught.value.metadata["column"]) == ("5", "1")
    result = client.fit(X, 3, non_finite="skip", random_state=0).result()
    assert result.labels is not None
    assert result.labels[5] == -1
    assert result.rows_skipped == 1


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"n_clusters": 0}, errors.OutOfRangeError),
        ({"n_clusters": 3, "max_iter": 0}, errors.OutOfRangeError),
        ({"n_clusters": 3, "n_init": 0}, errors.OutOfRangeError),
        ({"n_clusters": 3, "tol": -1.0}, errors.OutOfRangeError),
        ({"n_clusters": 3, "init": "spread"}, errors.UnknownValueError),
        ({"n_clusters": 3, "non_finite": "drop"}, errors.UnknownValueError),
        ({"n_clusters": 3, "init": np.zeros((3, 2))}, errors.ShapeMismatchError),
        ({"n_clusters": 3, "sample_weight": np.full(300, -1.0)}, ValueError),
        ({"n_clusters": 3, "sample_weight": "w"}, errors.UnsupportedError),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else value.__name__,
)
def test_wrong_arguments_have_a_reason(
    client: bary.Client, blobs: np.ndarray, arguments: dict[str, object], kind: type
) -> None:
    with pytest.raises(kind):
        client.fit(blobs, **arguments).result()


def test_datasets_are_made_listed_read_and_deleted(
    client: bary.Client, name: str, blobs: np.ndarray
) -> None:
    frame = pd.DataFrame(blobs, columns=list("abcd")).astype({"d": np.float32})
    made = client.datasets.upload(frame, name, sample_weight=np.ones(300), ttl=60)
    assert made.name.endswith(name)
    assert (made.info.state, made.info.rows, made.info.ttl) == ("sealed", 300, 60.0)
    assert [(c.name, c.dtype) for c in made.info.columns] == [
        ("a", "f64"),
        ("b", "f64"),
        ("c", "f64"),
        ("d", "f32"),
        ("sample_weight", "f64"),
    ]
    assert len(made.info.content_hash) == 64
    assert made.name in {d.name for d in client.datasets.list()}
    with pytest.raises(errors.NameTakenError):
        client.datasets.upload(frame, name)
    result = client.fit(made, 3, random_state=1, sample_weight="sample_weight").result()
    inline = client.fit(blobs, 3, random_state=1).result()
    assert np.allclose(result.cluster_centers, inline.cluster_centers, atol=1e-6)
    client.datasets.get(name).delete()
    with pytest.raises(errors.DatasetNotFoundError):
        client.datasets.get(name)


def test_columns_of_a_dataset_are_chosen_by_name(
    client: bary.Client, name: str, blobs: np.ndarray
) -> None:
    with client.datasets.upload(pd.DataFrame(blobs, columns=list("abcd")), name) as made:
        result = client.fit(made, 2, columns=["a", "c"], init=blobs[[0, 250]][:, [0, 2]]).result()
    want = client.fit(blobs[:, [0, 2]], 2, init=blobs[[0, 250]][:, [0, 2]]).result()
    assert np.array_equal(result.cluster_centers, want.cluster_centers)
    with pytest.raises(KeyError):
        client.datasets.get(name)


@pytest.mark.parametrize("size", [1, (3 << 20) - 8, 3 << 20, (3 << 20) + 8, 9 << 20])
@pytest.mark.parametrize("order", ["C", "F"])
def test_uploads_of_every_size_hold_what_was_sent(
    client: bary.Client, size: int, order: str
) -> None:
    rows = max(1, size // 16)
    X = np.random.default_rng(size).integers(0, 9, (rows, 2)).astype(np.float64, order=order)
    X.flags.writeable = False
    with client.datasets.upload(X) as made:
        assert (made.info.rows, made.info.bytes) == (rows, X.nbytes)
        labels = client.predict([[0.0, 0.0], [9.0, 9.0]], made).labels
        assert client.evaluate([[0.0, 0.0]], made).inertia == (X**2).sum()
    assert np.array_equal(labels, ((9 - X) ** 2).sum(1) < (X**2).sum(1))


def test_labels_beyond_a_message_come_in_parts(client: bary.Client) -> None:
    X = np.arange(900_000, dtype=np.float32).reshape(-1, 1)
    result = client.fit(X, 3, init=[[0], [4e5], [8e5]], max_iter=2).result()
    assert result.labels is not None
    assert len(result.labels) == 900_000
    assert np.array_equal(np.bincount(result.labels), result.sizes)
    assert np.array_equal(client.predict(result.cluster_centers, X).labels, result.labels)


def test_centers_beyond_a_message_come_in_parts(client: bary.Client) -> None:
    X = np.random.default_rng(0).random((700, 700))
    result = client.fit(X, 650, init=X[:650], max_iter=1).result()
    assert result.cluster_centers.shape == (650, 700)
    assert result.cluster_centers.nbytes > 3 << 20
    labels = client.predict(result.cluster_centers, X).labels
    assert np.array_equal(labels, result.labels)


def test_distances_beyond_a_message_come_in_parts(client: bary.Client) -> None:
    X = np.random.default_rng(0).random((2000, 2))
    centers = np.random.default_rng(1).random((400, 2))
    result = client.predict(centers, X, distances=True)
    assert result.distances is not None
    assert result.distances.nbytes > 3 << 20
    want = np.sqrt(((X[:, None] - centers) ** 2).sum(2))
    assert np.allclose(result.distances, want, rtol=1e-12)
    assert np.array_equal(result.labels, want.argmin(1))


def test_predict_refuses_to_be_asked_for_nothing(client: bary.Client) -> None:
    with pytest.raises(errors.MissingError):
        client.predict([[0.0]], [[1.0]], labels=False)


def test_models_are_kept_versioned_used_and_deleted(
    client: bary.Client, name: str, blobs: np.ndarray
) -> None:
    frame = pd.DataFrame(blobs, columns=list("abcd"))
    first = client.fit(frame, 3, random_state=1, model=name, wait=30).result()
    second = client.fit(frame, 2, random_state=1, model=name).result()
    assert first.model.endswith(f"{name}/versions/1")
    assert second.model.endswith(f"{name}/versions/2")
    model = client.models.get(name)
    assert (model.version, model.n_clusters, model.columns, model.rows) == (2, 2, 4, 300)
    assert np.array_equal(model.cluster_centers, second.cluster_centers)
    assert np.array_equal(client.predict(f"{name}/versions/1", frame).labels, first.labels)
    assert client.evaluate(name, frame).inertia == second.inertia
    assert {m.version for m in client.models.list() if f"/{name}/" in m.name} == {1, 2}
    client.models.delete(name)
    with pytest.raises(errors.ModelNotFoundError) as caught:
        client.models.get(name)
    assert isinstance(caught.value, KeyError)
    assert name in str(caught.value)


def long_fit(client: bary.Client, **options: object) -> bary.Job:
    """A fit of many seconds."""
    X = np.random.default_rng(0).random((20_000, 8))
    return client.fit(X, 100, init="random", max_iter=100_000, fixed_rounds=True, **options)


def test_a_job_is_cancelled(client: bary.Client) -> None:
    job = long_fit(client, random_state=1)
    with pytest.raises(errors.DeadlineError):
        job.wait(0.2)
    start = time.monotonic()
    job.cancel()
    assert job.wait(10).state == "cancelled"
    assert time.monotonic() - start < 2
    with pytest.raises(errors.CancelledError):
        job.result()


def test_jobs_are_cancelled_by_tag(client: bary.Client, name: str) -> None:
    job = long_fit(client, tags=[name])
    client.jobs.cancel(tag=name)
    assert job.wait(10).state == "cancelled"


def test_a_job_that_runs_too_long_is_ended(client: bary.Client) -> None:
    with pytest.raises(TimeoutError):
        long_fit(client, max_runtime=0.3).result(30)


def test_watching_shows_progress(client: bary.Client) -> None:
    job = long_fit(client)
    seen = []
    for status in job.watch():
        seen.append(status)
        if len(seen) == 5:
            break
    assert any(s.progress.iteration > 0 for s in seen)
    assert seen[-1].progress.rows == 20_000
    job.cancel()
    job.wait(10)


def test_a_client_is_safe_for_threads(client: bary.Client, blobs: np.ndarray) -> None:
    want = client.fit(blobs, 3, random_state=1, wait=30).result().inertia
    got: list[float] = []

    def work() -> None:
        for _ in range(5):
            got.append(client.fit(blobs, 3, random_state=1, wait=30).result().inertia)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert got == [want] * 30


def test_a_closed_client_opens_again(client: bary.Client) -> None:
    other = bary.connect(client.address)
    other.close()
    assert other.server().version == client.server().version
