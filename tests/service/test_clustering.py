"""Fit, Predict, PredictStream and Evaluate give what numpy gives."""

from __future__ import annotations

import numpy as np
import pytest
import server
import wire
from reference import blobs, distances, inertia_of, labels_of, lloyd
from wire import Client, array, clustering, fit_request, matrix, refused, t

X = blobs(3000, 4, 5, seed=1)
START = X[[0, 1, 2, 3, 4]]


def fitted(job: object) -> object:
    """The result of a job that must have succeeded."""
    assert job.state == t.JOB_STATE_SUCCEEDED, job
    assert job.WhichOneof("result") == "fit"
    return job.fit


@pytest.mark.smoke
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_fit_from_given_centers_is_lloyd(bary: Client, dtype: str) -> None:
    data = X.astype(dtype)
    job = bary.fit(data, 5, init=t.INIT_CENTERS, init_centers=data[:5].astype("float64"))
    got = fitted(job)
    centers, labels, inertia, n_iter = lloyd(data, data[:5].astype("float64"))
    np.testing.assert_allclose(array(got.cluster_centers), centers, rtol=1e-13)
    np.testing.assert_array_equal(array(got.labels), labels)
    np.testing.assert_allclose(got.inertia, inertia, rtol=1e-12)
    assert got.n_iter == n_iter
    assert list(got.sizes) == np.bincount(labels, minlength=5).tolist()
    assert (got.rows, got.columns, got.n_clusters, got.empty_clusters, got.rows_skipped) == (3000, 4, 5, 0, 0)
    assert got.dtype == wire.DTYPES[dtype]
    assert got.cluster_centers.dtype == t.DTYPE_F64
    assert got.labels.dtype == t.DTYPE_I32
    assert len(got.label_fingerprint) == 16
    assert got.stop in (t.STOP_REASON_LABELS_EQUAL, t.STOP_REASON_TOLERANCE)


@pytest.mark.parametrize("init", ["INIT_KMEANS_PLUS_PLUS", "INIT_RANDOM", "INIT_AUTO"])
def test_seeded_fit_ends_in_a_fixed_point(bary: Client, init: str) -> None:
    got = fitted(bary.fit(X, 5, init=t.Init.Value(init), random_state=7, tol=0.0))
    centers, labels = array(got.cluster_centers), array(got.labels)
    np.testing.assert_array_equal(labels, labels_of(X, centers))
    np.testing.assert_allclose(got.inertia, inertia_of(X, centers, labels), rtol=1e-12)
    means = np.array([X[labels == j].mean(axis=0) for j in range(5)])
    np.testing.assert_allclose(centers, means, rtol=1e-12)
    assert got.random_state == 7
    assert got.stop == t.STOP_REASON_LABELS_EQUAL
    assert got.n_init == (10 if init == "INIT_RANDOM" else 1)


def test_the_same_seed_gives_the_same_bits(bary: Client) -> None:
    one, two = (fitted(bary.fit(X, 8, random_state=3)) for _ in range(2))
    assert one.cluster_centers == two.cluster_centers
    assert one.labels == two.labels
    assert (one.inertia, one.label_fingerprint) == (two.inertia, two.label_fingerprint)


def test_threads_do_not_show_in_the_bits(bary: Client) -> None:
    one, two = (fitted(bary.clustering.Fit(with_threads(n), timeout=60)) for n in (1, 2))
    assert one.cluster_centers == two.cluster_centers
    assert one.labels == two.labels
    assert one.inertia == two.inertia


def with_threads(threads: int) -> object:
    request = fit_request(X, 8, wait=20, random_state=3)
    request.placement.threads = threads
    return request


def test_a_drawn_random_state_is_told_and_repeats(bary: Client) -> None:
    one = fitted(bary.fit(X, 8, random_state=None))
    two = fitted(bary.fit(X, 8, random_state=one.random_state))
    other = fitted(bary.fit(X, 8, random_state=None))
    assert one.cluster_centers == two.cluster_centers
    assert one.random_state != other.random_state


def test_weights_count_as_repeated_rows(bary: Client) -> None:
    weight = np.arange(len(X)) % 3 + 1.0
    got = fitted(bary.fit(X, 5, init=t.INIT_CENTERS, init_centers=START, sample_weight=weight))
    centers, labels, inertia, _ = lloyd(X, START, weight=weight)
    np.testing.assert_allclose(array(got.cluster_centers), centers, rtol=1e-12)
    np.testing.assert_array_equal(array(got.labels), labels)
    np.testing.assert_allclose(got.inertia, inertia, rtol=1e-12)


def table_of(columns: dict[str, np.ndarray]) -> object:
    schema = t.Schema(
        columns=[t.Column(name=n, dtype=wire.DTYPES[c.dtype.name], width=c.shape[1] if c.ndim == 2 else 1) for n, c in columns.items()]
    )
    rows = len(next(iter(columns.values())))
    return t.Source(table=t.Table(schema=schema, rows=rows, data=[c.tobytes() for c in columns.values()]))


def test_a_table_with_a_weight_column_is_the_matrix_with_weights(bary: Client) -> None:
    weight = np.arange(len(X)) % 3 + 1.0
    table = table_of({"a": X[:, 0].copy(), "w": weight, "rest": X[:, 1:].copy()})
    one = fitted(bary.fit(table, 5, random_state=1, sample_weight="w"))
    two = fitted(bary.fit(X, 5, random_state=1, sample_weight=weight))
    assert one.cluster_centers == two.cluster_centers
    assert one.labels == two.labels
    assert one.columns == 4


def test_whole_numbers_are_clustered_as_their_values(bary: Client) -> None:
    whole = np.round(X).astype("int16")
    one = fitted(bary.fit(whole, 5, random_state=1))
    two = fitted(bary.fit(whole.astype("float32"), 5, random_state=1))
    np.testing.assert_array_equal(array(one.cluster_centers), array(two.cluster_centers))
    np.testing.assert_array_equal(array(one.labels), array(two.labels))


def test_fixed_rounds_runs_exactly_max_iter(bary: Client) -> None:
    got = fitted(bary.fit(X, 5, random_state=1, max_iter=37, fixed_rounds=True))
    assert got.n_iter == 37
    assert got.stop == t.STOP_REASON_FIXED_ROUNDS


def test_max_iter_stops_and_labels_still_belong_to_the_centers(bary: Client) -> None:
    noise = np.random.default_rng(5).normal(size=(4000, 3))
    got = fitted(bary.fit(noise, 9, random_state=1, max_iter=2, tol=0.0))
    assert (got.n_iter, got.stop) == (2, t.STOP_REASON_MAX_ITER)
    np.testing.assert_array_equal(array(got.labels), labels_of(noise, array(got.cluster_centers)))


def test_what_is_left_out_of_a_reply_is_said_so(bary: Client) -> None:
    few = fitted(bary.fit(X[:20], 2, random_state=1, max_iter=32_768, fixed_rounds=True, history=True))
    assert (len(few.history), few.history_omitted) == (32_768, False)
    many = fitted(bary.fit(X[:20], 2, random_state=1, max_iter=32_769, fixed_rounds=True, history=True))
    assert (len(many.history), many.history_omitted) == (0, True)
    for columns, omitted in ((4096, False), (4097, True)):
        names = [f"{c:062d}" for c in range(columns)]  # 64 bytes each in the message
        table = table_of(dict.fromkeys(names, np.arange(3, dtype="float32")))
        model = fitted(bary.fit(table, 1, random_state=1, model=f"named-{columns}")).model
        got = bary.model.Get(wire.model.GetModelRequest(name=model))
        assert got.column_names_omitted == omitted
        assert list(got.column_names) == ([] if omitted else names)


@pytest.mark.skipif(server.SLOWNESS > 1, reason="four billion distances")
def test_clusters_beyond_a_reply_have_no_sizes_and_it_says_so(bary: Client) -> None:
    line = np.arange(65_537, dtype="float32")[:, None]
    got = fitted(bary.fit(line, len(line), random_state=1, max_iter=1, init=t.INIT_RANDOM, n_init=1, model="line"))
    assert got.sizes_omitted
    assert not got.sizes
    counted = bary.model.Get(wire.model.GetModelRequest(name="line"))
    assert counted.sizes_omitted
    assert not counted.sizes
    request = clustering.EvaluateRequest(model=wire.model_ref("line"), source=wire.source(line[:3].copy()))
    scored = bary.clustering.Evaluate(request, timeout=20).result
    assert scored.sizes_omitted
    assert (scored.rows, len(scored.sizes), len(scored.inertia_per_cluster)) == (3, 0, 0)


def test_history_holds_the_inertia_of_each_round_and_falls(bary: Client) -> None:
    noise = np.random.default_rng(5).normal(size=(4000, 3))
    got = fitted(bary.fit(noise, 9, random_state=1, max_iter=30, history=True))
    history = list(got.history)
    assert len(history) in (got.n_iter, got.n_iter + 1)
    assert all(b <= a * (1 + 1e-12) for a, b in zip(history, history[1:], strict=False))
    assert not fitted(bary.fit(noise, 9, random_state=1)).history


def test_no_labels_leaves_them_out(bary: Client) -> None:
    got = fitted(bary.fit(X, 5, no_labels=True))
    assert not got.HasField("labels")
    assert got.inertia > 0


def test_n_init_keeps_the_best_run(bary: Client) -> None:
    noise = np.random.default_rng(6).normal(size=(1500, 2))
    best = fitted(bary.fit(noise, 12, init=t.INIT_RANDOM, n_init=8, random_state=2, max_iter=5))
    single = fitted(bary.fit(noise, 12, init=t.INIT_RANDOM, n_init=1, random_state=2, max_iter=5))
    assert best.inertia <= single.inertia
    assert (best.n_init, single.n_init) == (8, 1)
    assert 0 <= best.run < 8


def test_non_finite_rows_are_skipped_when_asked(bary: Client) -> None:
    holed = X.copy()
    holed[[10, 700], [1, 3]] = np.nan, np.inf
    got = fitted(bary.fit(holed, 5, init=t.INIT_CENTERS, init_centers=START, non_finite=t.NON_FINITE_SKIP))
    keep = np.isfinite(holed).all(axis=1)
    centers, labels, inertia, _ = lloyd(holed[keep], START)
    assert got.rows_skipped == 2
    assert array(got.labels)[[10, 700]].tolist() == [-1, -1]
    np.testing.assert_array_equal(array(got.labels)[keep], labels)
    np.testing.assert_allclose(array(got.cluster_centers), centers, rtol=1e-12)
    np.testing.assert_allclose(got.inertia, inertia, rtol=1e-12)


def test_empty_clusters_are_kept_relocated_or_refused(bary: Client) -> None:
    start = np.vstack([X[:4], np.full(4, 1e6)])
    kept = fitted(bary.fit(X, 5, init=t.INIT_CENTERS, init_centers=start, empty_clusters=t.EMPTY_CLUSTERS_KEEP))
    assert kept.empty_clusters == 1
    assert list(kept.sizes)[4] == 0
    moved = fitted(bary.fit(X, 5, init=t.INIT_CENTERS, init_centers=start))
    assert moved.empty_clusters == 0
    assert min(moved.sizes) > 0
    job = bary.fit(X, 5, init=t.INIT_CENTERS, init_centers=start, empty_clusters=t.EMPTY_CLUSTERS_ERROR)
    assert job.state == t.JOB_STATE_FAILED
    assert (job.error.code, job.error.reason) == ("INVALID_ARGUMENT", "EMPTY_CLUSTER")
    assert job.error.message == "cluster 4 became empty in round 1 and empty_clusters is 'error'"
    assert dict(job.error.metadata) == {"cluster": "4", "round": "1"}


def test_ties_go_to_the_lowest_index(bary: Client) -> None:
    rows, centers = np.array([[0.0], [1.0], [2.0]]), np.array([[0.0], [2.0]])
    got = bary.clustering.Predict(clustering.PredictRequest(model=wire.model_ref(centers), source=wire.source(rows)))
    assert array(got.labels).tolist() == [0, 0, 1]


@pytest.mark.smoke
def test_predict_gives_labels_and_distances(bary: Client) -> None:
    centers = X[:5]
    request = clustering.PredictRequest(model=wire.model_ref(centers), source=wire.source(X), distances=True)
    got = bary.clustering.Predict(request, timeout=20)
    np.testing.assert_array_equal(array(got.labels), labels_of(X, centers))
    np.testing.assert_allclose(array(got.distances), distances(X, centers), rtol=1e-13)
    assert got.rows == len(X)
    assert got.distances.dtype == t.DTYPE_F64
    request.no_labels = True
    got = bary.clustering.Predict(request, timeout=20)
    assert not got.HasField("labels")


def test_predict_skips_rows_when_asked(bary: Client) -> None:
    holed = X[:10].copy()
    holed[3, 2] = np.nan
    request = clustering.PredictRequest(
        model=wire.model_ref(START), source=wire.source(holed), distances=True, non_finite=t.NON_FINITE_SKIP
    )
    got = bary.clustering.Predict(request)
    assert array(got.labels)[3] == -1
    assert np.isnan(array(got.distances)[3]).all()
    assert np.isfinite(np.delete(array(got.distances), 3, axis=0)).all()


@pytest.mark.smoke
def test_a_kept_model_predicts_as_its_centers_do(bary: Client) -> None:
    job = bary.fit(X, 5, random_state=1, model="kept-predicts")
    got = fitted(job)
    assert got.model == "namespaces/default/models/kept-predicts/versions/1"
    for name in ("kept-predicts", "kept-predicts/versions/1", got.model, "namespaces/default/models/kept-predicts"):
        reply = bary.clustering.Predict(clustering.PredictRequest(model=wire.model_ref(name), source=wire.source(X)))
        np.testing.assert_array_equal(array(reply.labels), array(got.labels))
    assert fitted(bary.fit(X, 5, random_state=2, model="kept-predicts")).model.endswith("/versions/2")


def test_evaluate_gives_inertia_per_cluster(bary: Client) -> None:
    weight = np.arange(len(X)) % 2 + 0.5
    for weights in (None, weight):
        request = clustering.EvaluateRequest(model=wire.model_ref(START), source=wire.source(X))
        if weights is not None:
            request.sample_weight.values.CopyFrom(matrix(weights))
        got = bary.clustering.Evaluate(request, timeout=20).result
        labels = labels_of(X, START)
        terms = ((X - START[labels]) ** 2).sum(axis=1) * (1 if weights is None else weights)
        np.testing.assert_allclose(got.inertia, terms.sum(), rtol=1e-12)
        np.testing.assert_allclose(list(got.inertia_per_cluster), [terms[labels == j].sum() for j in range(5)], rtol=1e-12)
        assert list(got.sizes) == np.bincount(labels, minlength=5).tolist()
        assert got.rows == len(X)


def stream_of(model: object, *blocks: np.ndarray, **first: object) -> object:
    """The messages of a PredictStream: model and options first, then rows."""
    yield clustering.PredictRequest(model=wire.model_ref(model), **first)
    for block in blocks:
        yield clustering.PredictRequest(source=wire.source(block))


def test_predict_stream_answers_each_chunk_in_order(bary: Client) -> None:
    blocks = np.array_split(X, 7)
    replies = list(bary.clustering.PredictStream(stream_of(START, *blocks, distances=True), timeout=20))
    replies = [r for r in replies if r.rows]
    np.testing.assert_array_equal(np.concatenate([array(r.labels) for r in replies]), labels_of(X, START))
    np.testing.assert_allclose(np.vstack([array(r.distances) for r in replies]), distances(X, START), rtol=1e-13)
    assert [r.first_row for r in replies] == np.cumsum([0] + [len(b) for b in blocks])[:-1].tolist()


def test_predict_stream_over_a_dataset_gives_the_labels_of_the_fit(bary: Client) -> None:
    big = blobs(1_000_000, 2, 4, dtype="float32")
    bary.store(big, "stream-over")
    job = bary.fit("stream-over", 4, random_state=1, model="stream-over", wait=25)
    got = fitted(job)
    assert got.labels_omitted
    assert not got.HasField("labels")
    request = clustering.PredictRequest(model=wire.model_ref("stream-over"), source=wire.source("stream-over"))
    streamed = np.concatenate([array(r.labels) for r in bary.clustering.PredictStream(iter([request]), timeout=60) if r.rows])
    read = [array(r.values) for r in bary.job.Read(wire.job.ReadJobRequest(name=job.name, array=wire.job.JOB_ARRAY_LABELS))]
    np.testing.assert_array_equal(streamed, np.concatenate(read).ravel())
    np.testing.assert_array_equal(streamed, labels_of(big, array(got.cluster_centers)))
    bary.dataset.Delete(wire.dataset.DeleteDatasetRequest(name="stream-over"))


def test_predict_stream_refuses_in_the_middle(bary: Client) -> None:
    bad = X[:10].copy()
    bad[4, 1] = np.nan
    with refused("NON_FINITE") as error:
        list(bary.clustering.PredictStream(stream_of(START, X[:10], bad), timeout=20))
    assert error.metadata["row"] in ("4", "14")
    assert error.metadata["column"] == "1"


def test_a_fit_over_chosen_columns_and_rows_is_the_fit_of_that_matrix(bary: Client) -> None:
    schema = [t.Column(name=n, dtype=t.DTYPE_F64, width=1) for n in "abcd"]
    made = bary.dataset.Create(
        wire.dataset.CreateDatasetRequest(id="chosen", encoding=wire.dataset.ENCODING_BLOCKS, schema=t.Schema(columns=schema), rows=len(X))
    )
    payload = X.T.copy().tobytes()
    bary.dataset.Upload(iter([wire.dataset.UploadRequest(upload_id=made.upload_id), wire.chunk(0, payload)]), timeout=20)
    bary.dataset.Commit(wire.dataset.CommitDatasetRequest(upload_id=made.upload_id))
    part = t.Source(dataset=t.DatasetRef(name="chosen", columns=["d", "b"], rows=t.RowRange(first=100, count=2000)))
    one = fitted(bary.fit(part, 5, random_state=1))
    two = fitted(bary.fit(X[100:2100][:, [3, 1]], 5, random_state=1))
    np.testing.assert_array_equal(array(one.cluster_centers), array(two.cluster_centers))
    np.testing.assert_array_equal(array(one.labels), array(two.labels))


def test_centers_may_come_from_a_dataset(bary: Client) -> None:
    bary.store(START.copy(), "start-centers")
    request = fit_request(X, 5, wait=20, init=t.INIT_CENTERS)
    request.init_dataset.name = "start-centers"
    one = fitted(bary.clustering.Fit(request, timeout=30))
    two = fitted(bary.fit(X, 5, init=t.INIT_CENTERS, init_centers=START))
    assert one.cluster_centers == two.cluster_centers
    reference = t.ModelRef(dataset=t.DatasetRef(name="start-centers"))
    got = bary.clustering.Predict(clustering.PredictRequest(model=reference, source=wire.source(X)))
    np.testing.assert_array_equal(array(got.labels), labels_of(X, START))


def test_the_report_says_what_was_used(bary: Client) -> None:
    report = bary.fit(X, 5, random_state=1).report
    assert report.backend in ("cpu", "ref")
    assert report.method
    assert report.threads >= 1
    assert report.compute_ns > 0
    assert report.bytes_reserved >= 0


def test_a_fallback_is_reported(bary: Client) -> None:
    """Where there is no GPU, asking for one without forbidding the fallback gives the same bits on the CPU."""
    devices = bary.server.GetServer(wire.server.GetServerRequest()).devices
    if any(d.backend not in ("cpu", "ref") and d.state == "OK" for d in devices):
        pytest.skip("this machine has a GPU")
    request = fit_request(X, 5, wait=20, random_state=1)
    request.placement.backend = t.BACKEND_GPU
    job = bary.clustering.Fit(request, timeout=30)
    assert any("NO_DEVICE" in fallback for fallback in job.report.fallbacks), list(job.report.fallbacks)
    assert fitted(job).cluster_centers == fitted(bary.fit(X, 5, random_state=1)).cluster_centers
