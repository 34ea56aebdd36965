"""FitBatch: each problem has what a Fit of it alone has, and one that fails, fails alone."""

from __future__ import annotations

import time

import numpy as np
import pytest
from reference import blobs
from server import until
from wire import Client, array, batch_request, dataset, job, matrix, refused, t

PROBLEMS, ROWS, COLUMNS = 40, 60, 3
X = np.stack([blobs(ROWS, COLUMNS, 4, seed=p) + np.random.default_rng(p).normal(size=(ROWS, COLUMNS)) * 8 for p in range(PROBLEMS)])


def batched(answer: object) -> object:
    """The result of a batch that must have succeeded as a whole."""
    assert answer.state == t.JOB_STATE_SUCCEEDED, answer
    assert answer.WhichOneof("result") == "batch"
    return answer.batch


def run(bary: Client, *arguments: object, **fields: object) -> object:
    return batched(bary.clustering.FitBatch(batch_request(*arguments, **fields), timeout=60))


def problem_is_alone(bary: Client, got: object, p: int, first_row: int, rows: np.ndarray, n_clusters: int, **fields: object) -> None:
    """Byte for byte; what a fit of the same rows says."""
    alone = bary.fit(rows, n_clusters, **fields).fit
    first, end = got.center_offsets[p], got.center_offsets[p + 1]
    assert array(got.cluster_centers)[first:end].tobytes() == alone.cluster_centers.data
    assert array(got.labels)[first_row : first_row + len(rows)].tobytes() == alone.labels.data
    assert list(got.sizes[first:end]) == list(alone.sizes)
    assert got.label_fingerprints[16 * p : 16 * p + 16] == alone.label_fingerprint
    assert (got.inertia[p], got.n_iter[p], got.stop[p], got.run[p]) == (alone.inertia, alone.n_iter, alone.stop, alone.run)
    assert (got.empty_clusters[p], got.rows_skipped[p], got.status[p]) == (alone.empty_clusters, alone.rows_skipped, 0)


@pytest.mark.smoke
@pytest.mark.parametrize("dtype", ["float64", "float32", "int16"])
def test_each_problem_of_a_tensor_is_its_fit_alone(bary: Client, dtype: str) -> None:
    data = X.astype(dtype)
    got = run(bary, data, 4, random_state=7)
    assert (got.problems, got.failed, got.rows, got.columns) == (PROBLEMS, 0, PROBLEMS * ROWS, COLUMNS)
    assert (got.n_init, got.init, got.random_state, got.ordinary) == (1, t.INIT_KMEANS_PLUS_PLUS, 7, 0)
    assert got.dtype == (t.DTYPE_F64 if dtype == "float64" else t.DTYPE_F32)
    assert list(got.center_offsets) == list(range(0, 4 * PROBLEMS + 1, 4))
    for p in range(0, PROBLEMS, 7):
        problem_is_alone(bary, got, p, p * ROWS, data[p], 4, random_state=7)


def test_ragged_problems_with_numbers_of_their_own(bary: Client) -> None:
    rows = X.reshape(-1, COLUMNS)
    offsets, clusters, states = [0, 10, 11, 300, 1000], [3, 1, 7, 20], [5, 6, 7, 8]
    got = run(bary, rows[:1000], clusters, row_offsets=offsets, random_state_each=states, random_state=None)
    assert list(got.center_offsets) == [0, 3, 4, 11, 31]
    for p in range(4):
        part = rows[offsets[p] : offsets[p + 1]]
        problem_is_alone(bary, got, p, offsets[p], part, clusters[p], random_state=states[p])


def test_given_centers_weights_and_every_switch(bary: Client) -> None:
    centers = np.concatenate([X[p, :4] for p in range(PROBLEMS)])
    weight = np.abs(np.random.default_rng(3).normal(size=PROBLEMS * ROWS))
    same = {"max_iter": 3, "tol": 0.0, "fixed_rounds": True, "empty_clusters": t.EMPTY_CLUSTERS_KEEP, "non_finite": t.NON_FINITE_SKIP}
    data = X.copy()
    data[:, 5, 1] = np.nan
    got = run(bary, data, 4, init=t.INIT_CENTERS, init_centers=centers, sample_weight=weight, **same)
    for p in (0, 21):
        own = {"init_centers": X[p, :4], "sample_weight": weight[p * ROWS : (p + 1) * ROWS], **same}
        problem_is_alone(bary, got, p, p * ROWS, data[p], 4, init=t.INIT_CENTERS, **own)
    assert list(got.rows_skipped) == [1] * PROBLEMS


def test_runs_of_random_rows(bary: Client) -> None:
    got = run(bary, X, 4, init=t.INIT_RANDOM)
    assert got.n_init == 10
    problem_is_alone(bary, got, 9, 9 * ROWS, X[9], 4, init=t.INIT_RANDOM)


@pytest.mark.smoke
def test_one_bad_problem_fails_alone(bary: Client) -> None:
    data = X[:6].copy()
    data[1, 2, 1] = np.nan
    data[4, 0, 0] = 1e200
    weight = np.ones(6 * ROWS)
    weight[5 * ROWS + 3] = -1
    got = run(bary, data, [4, 4, 0, 61, 4, 4], sample_weight=weight)
    assert (got.failed, list(got.status)) == (5, [0, 2, 4, 3, 8, 4])
    assert [e.problem for e in got.errors] == [1, 2, 3, 4, 5]
    assert [e.error.reason for e in got.errors] == ["NON_FINITE", "OUT_OF_RANGE", "TOO_FEW_ROWS", "ROW_OUT_OF_RANGE", "OUT_OF_RANGE"]
    assert [e.error.message for e in got.errors] == [
        "X[1] has 1 non-finite values; the first is nan at row 2, column 1",
        "n_clusters is 0; it must be 1 to 1048576",
        "X[3] has 60 rows that take part; n_clusters=61 needs at least that many",
        "X[4] at row 0, column 0 is 1e+200; it must be within +-2^500 (3.27e150)",
        "sample_weight of row 3 is -1; it must be finite, >= 0 and at most 2^500 (3.27e150)",
    ]
    assert got.errors[0].error.metadata["row"] == "2"
    assert got.errors[0].error.code == "INVALID_ARGUMENT"
    labels = array(got.labels).reshape(6, ROWS)
    assert (labels[1:] == -1).all()
    assert (labels[0] >= 0).all()
    assert list(got.inertia[1:]) == [0] * 5
    problem_is_alone(bary, got, 0, 0, data[0], 4)


def test_many_failures_name_the_first_of_them(bary: Client) -> None:
    got = run(bary, np.full((600, 2, 1), np.inf), 2)
    assert (got.failed, len(got.errors), list(got.status)) == (600, 512, [2] * 600)


def test_an_empty_problem_fails_too(bary: Client) -> None:
    got = run(bary, X[0], 2, row_offsets=[0, 0, ROWS])
    assert list(got.status) == [3, 0]
    assert list(got.center_offsets) == [0, 0, 2]


def test_a_large_problem_among_small_ones(bary: Client) -> None:
    rows = blobs(9000, 2, 3, seed=2)
    got = run(bary, rows, 3, row_offsets=[0, 50, 8950, 9000])
    assert got.ordinary == 1
    problem_is_alone(bary, got, 1, 50, rows[50:8950], 3)


def test_rows_of_a_dataset_become_a_job_that_can_be_read(bary: Client) -> None:
    """Its centers are over 3 MiB: left out of the answer, and read in chunks."""
    many = np.random.default_rng(1).normal(size=(120_000, 8)).astype("float32")
    bary.store(many, "batch-rows")
    request = batch_request("batch-rows", 5, problems=12_000, tags=["b"])
    answer = bary.clustering.FitBatch(request, timeout=60)
    got = batched(bary.job.Wait(job.WaitJobRequest(name=answer.name), timeout=60))
    assert (got.problems, got.failed) == (12_000, 0)
    assert got.centers_omitted
    assert not got.labels_omitted
    parts = list(bary.job.Read(job.ReadJobRequest(name=answer.name, array=job.JOB_ARRAY_CLUSTER_CENTERS)))
    centers = np.concatenate([array(part.values) for part in parts])
    sizes = np.concatenate([array(p.values) for p in bary.job.Read(job.ReadJobRequest(name=answer.name, array=job.JOB_ARRAY_SIZES))])
    labels = np.concatenate([array(p.values) for p in bary.job.Read(job.ReadJobRequest(name=answer.name, array=job.JOB_ARRAY_LABELS))])
    assert centers.shape == (60_000, 8)
    assert sizes.reshape(12_000, 5).sum(axis=1).tolist() == [10] * 12_000
    alone = bary.fit(many[50:60], 5).fit
    assert centers[25:30].tobytes() == alone.cluster_centers.data
    assert labels[50:60].tobytes() == alone.labels.data
    assert got.label_fingerprints[80:96] == alone.label_fingerprint
    assert len(got.label_fingerprints) == 12_000 * 16
    bary.dataset.Delete(dataset.DeleteDatasetRequest(name="batch-rows"))


def test_no_labels_are_none(bary: Client) -> None:
    got = run(bary, X, 4, no_labels=True)
    assert not got.HasField("labels")
    assert not got.labels_omitted


def test_what_all_problems_share_refuses_the_whole(bary: Client) -> None:
    def ask(*arguments: object, **fields: object) -> None:
        bary.clustering.FitBatch(batch_request(*arguments, **fields), timeout=60)

    rows = X[0]
    with refused("OUT_OF_RANGE", "the number of problems is 0; it must be 1 to 65536"):
        ask(rows, 2)
    with refused("OUT_OF_RANGE", "the number of problems is 70000; it must be 1 to 65536"):
        ask(rows, 2, problems=70_000)
    with refused("SHAPE_MISMATCH", "source has 60 rows; it must have equally many for each of 7 problems"):
        ask(rows, 2, problems=7)
    with refused("OUT_OF_RANGE", "problems is 3; it must be 0, or one less than there are row_offsets"):
        ask(rows, 2, problems=3, row_offsets=[0, 60])
    with refused("OUT_OF_RANGE", "row_offsets[0] is 1; it must be 0"):
        ask(rows, 2, row_offsets=[1, 60])
    with refused("OUT_OF_RANGE", "row_offsets[1] is -9223372036854775808; it must be ascending, up to the number of rows"):
        ask(rows, 2, row_offsets=[0, -(2**63), 2**63 - 1])
    with refused("OUT_OF_RANGE", "row_offsets[2] is 59; it must be 60, the number of rows"):
        ask(rows, 2, row_offsets=[0, 30, 59])
    with refused("SHAPE_MISMATCH", "n_clusters_each has 3 values; it must have 2, one a problem"):
        ask(rows, [2, 2, 2], row_offsets=[0, 30, 60])
    with refused("SHAPE_MISMATCH", "random_state_each has 1 values; it must have 2, one a problem"):
        ask(rows, 2, row_offsets=[0, 30, 60], random_state_each=[1])
    with refused("SHAPE_MISMATCH", "init_centers has 3 rows; it must have n_clusters of every problem, one behind the other"):
        ask(rows, 2, row_offsets=[0, 30, 60], init_centers=rows[:3])
    with refused("SHAPE_MISMATCH", "init_centers has 2 columns; it must have 3, as the data has"):
        ask(rows, 2, row_offsets=[0, 30, 60], init_centers=rows[:4, :2])
    with refused("OUT_OF_RANGE", "n_clusters is 0; it must be 1 to 1048576"):
        ask(rows, 0, problems=2)
    with refused("OUT_OF_RANGE", "tol is -1; it must be finite and >= 0"):
        ask(rows, 2, problems=2, tol=-1.0)
    with refused("SHAPE_MISMATCH", "sample_weight has 5 values; it must have 60 (one a row)"):
        ask(rows, 2, problems=2, sample_weight=np.ones(5))


def test_a_drawn_random_state_is_told(bary: Client) -> None:
    one = run(bary, X[:3], 4, random_state=None)
    two = run(bary, X[:3], 4, random_state=one.random_state)
    assert one.cluster_centers == two.cluster_centers


def test_the_same_request_id_is_the_same_job(bary: Client) -> None:
    request = batch_request(X, 4, wait=0, request_id="7e1c1e1c-6f0e-4b1d-8a3a-0a0b0c0d0e0f")
    one, two = (bary.clustering.FitBatch(request, timeout=60) for _ in range(2))
    assert one.name == two.name
    assert one.kind == t.JOB_KIND_FIT_BATCH
    request.n_clusters = 5
    with refused("REQUEST_ID_REUSED"):
        bary.clustering.FitBatch(request, timeout=60)
    done = bary.job.Wait(job.WaitJobRequest(name=one.name), timeout=60)
    assert done.batch.failed == 0
    assert done.progress.fraction == 1
    assert matrix(array(done.batch.labels).astype("int32")).data == done.batch.labels.data


def test_a_batch_is_cancelled_between_its_calls(bary: Client) -> None:
    """Minutes of runs; a device works on no call of a batch for longer than some ten milliseconds."""
    bary.store(np.random.default_rng(1).normal(size=(600_000, 4)).astype("float32"), "batch-long")
    started = bary.clustering.FitBatch(batch_request("batch-long", 3, problems=60_000, n_init=10_000, wait=0), timeout=60)
    until(lambda: bary.job.Get(job.GetJobRequest(name=started.name)).progress.fraction > 0, "progress")
    bary.job.Cancel(job.CancelJobRequest(name=started.name))
    begun = time.monotonic()
    ended = bary.job.Wait(job.WaitJobRequest(name=started.name), timeout=30)
    assert ended.state == t.JOB_STATE_CANCELLED
    assert time.monotonic() - begun < 5
    bary.dataset.Delete(dataset.DeleteDatasetRequest(name="batch-long"))


def test_max_runtime_ends_a_batch(bary: Client) -> None:
    request = batch_request(X, 4, n_init=10_000, max_runtime=0.05, wait=0)
    started = bary.clustering.FitBatch(request, timeout=60)
    ended = bary.job.Wait(job.WaitJobRequest(name=started.name), timeout=30)
    assert (ended.state, ended.error.reason) == (t.JOB_STATE_FAILED, "RUNTIME_EXCEEDED")
