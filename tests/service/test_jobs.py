"""What takes time is a job: found, waited for, watched, read, cancelled."""

from __future__ import annotations

import time
import uuid

import grpc
import numpy as np
import pytest
import wire
from reference import blobs
from server import SLOWNESS, until
from wire import Client, array, fit_request, job, refused, t

X = blobs(2000, 3, 4, seed=3)
NOISE = np.random.default_rng(4).normal(size=(400_000, 8)).astype("float32")
FINAL = (t.JOB_STATE_SUCCEEDED, t.JOB_STATE_FAILED, t.JOB_STATE_CANCELLED)


@pytest.fixture
def noise(bary: Client) -> str:
    """A dataset whose fit takes as long as one asks."""
    name = f"noise-{uuid.uuid4().hex[:12]}"
    bary.store(NOISE, name)
    return name


def long_fit(bary: Client, name: str, **fields: object) -> object:
    """A fit that will not end by itself while a test lives."""
    return bary.clustering.Fit(fit_request(name, 32, max_iter=100_000, fixed_rounds=True, **fields))


def get(bary: Client, name: str) -> object:
    return bary.job.Get(job.GetJobRequest(name=name))


def cancel(bary: Client, name: str) -> object:
    return bary.job.Cancel(job.CancelJobRequest(name=name)).job


def wait(bary: Client, name: str, timeout: float = 50) -> object:
    return bary.job.Wait(job.WaitJobRequest(name=name), timeout=timeout)


def test_a_fit_without_wait_is_a_job_that_can_be_waited_for(bary: Client, noise: str) -> None:
    made = bary.clustering.Fit(fit_request(noise, 4, random_state=1, max_iter=5))
    assert made.name.startswith("namespaces/default/jobs/")
    assert made.kind == t.JOB_KIND_FIT
    assert made.state in (t.JOB_STATE_QUEUED, t.JOB_STATE_RUNNING)
    done = wait(bary, made.name)
    assert done.state == t.JOB_STATE_SUCCEEDED
    assert done.fit.n_iter <= 5
    assert done.sequence > made.sequence
    assert get(bary, made.name).fit == done.fit
    assert made.created.ToNanoseconds() <= done.started.ToNanoseconds() <= done.ended.ToNanoseconds()
    assert done.queue_position == -1


def test_wait_answers_with_the_present_state_before_the_deadline(bary: Client, noise: str) -> None:
    made = long_fit(bary, noise)
    begun = time.monotonic()
    now = wait(bary, made.name, timeout=2)
    took = time.monotonic() - begun
    assert now.state == t.JOB_STATE_RUNNING
    assert took < 2
    if SLOWNESS == 1:
        assert took > 1.4
    asked = job.WaitJobRequest(name=made.name)
    asked.timeout.FromMilliseconds(300)
    begun = time.monotonic()
    bary.job.Wait(asked, timeout=20)
    assert time.monotonic() - begun < 2 * SLOWNESS
    cancel(bary, made.name)


def test_fit_with_wait_answers_a_running_job_when_the_wait_runs_out(bary: Client, noise: str) -> None:
    made = long_fit(bary, noise, wait=0.5)
    assert made.state == t.JOB_STATE_RUNNING
    assert get(bary, made.name).state == t.JOB_STATE_RUNNING
    cancel(bary, made.name)


def test_an_inline_fit_whose_wait_runs_out_goes_on_as_a_job(bary: Client) -> None:
    rows = NOISE[:20_000, :8]
    made = bary.clustering.Fit(fit_request(rows, 8, max_iter=1_000_000, fixed_rounds=True, wait=0.5), timeout=30)
    assert made.state == t.JOB_STATE_RUNNING
    assert cancel(bary, made.name).state in (t.JOB_STATE_CANCELLING, t.JOB_STATE_CANCELLED)
    assert wait(bary, made.name).state == t.JOB_STATE_CANCELLED


@pytest.mark.smoke
def test_watch_tells_every_change_until_the_end(bary: Client, noise: str) -> None:
    made = bary.clustering.Fit(fit_request(noise, 8, random_state=1, max_iter=30, fixed_rounds=True))
    updates = list(bary.job.Watch(job.WatchJobRequest(name=made.name), timeout=100))
    sequences = [u.sequence for u in updates]
    assert sequences == sorted(set(sequences))
    assert updates[-1].state == t.JOB_STATE_SUCCEEDED
    assert updates[-1].fit.n_iter == 30
    fractions = [u.progress.fraction for u in updates]
    assert fractions == sorted(fractions)
    assert all(0 <= f <= 1 for f in fractions)
    assert fractions[-1] == 1
    assert all(u.progress.max_iter == 30 for u in updates if u.state == t.JOB_STATE_RUNNING and u.progress.iteration)


def test_watch_of_a_finished_job_says_so_once(bary: Client) -> None:
    done = bary.fit(X, 4, model="watched-after")
    updates = list(bary.job.Watch(job.WatchJobRequest(name=done.name), timeout=10))
    assert [u.state for u in updates] == [t.JOB_STATE_SUCCEEDED]


def test_watch_takes_up_where_it_was_left(bary: Client, noise: str) -> None:
    made = long_fit(bary, noise)
    stream = bary.job.Watch(job.WatchJobRequest(name=made.name), timeout=60)
    seen = [next(stream).sequence for _ in range(3)]
    stream.cancel()
    stream = bary.job.Watch(job.WatchJobRequest(name=made.name, after_sequence=seen[-1]), timeout=60)
    assert next(stream).sequence > seen[-1]
    cancel(bary, made.name)
    assert list(stream)[-1].state == t.JOB_STATE_CANCELLED


def test_watch_comes_at_most_ten_times_a_second(bary: Client, noise: str) -> None:
    made = long_fit(bary, noise)
    stream = bary.job.Watch(job.WatchJobRequest(name=made.name), timeout=60)
    next(stream)
    begun, count = time.monotonic(), 0
    while time.monotonic() < begun + 1.5:
        next(stream)
        count += 1
    assert 2 <= count <= 18
    cancel(bary, made.name)


@pytest.mark.smoke
def test_a_running_job_is_cancelled(bary: Client, noise: str) -> None:
    made = long_fit(bary, noise)
    until(lambda: get(bary, made.name).progress.iteration > 0, "a round done", 30)
    assert cancel(bary, made.name).state in (t.JOB_STATE_CANCELLING, t.JOB_STATE_CANCELLED)
    done = wait(bary, made.name)
    assert done.state == t.JOB_STATE_CANCELLED
    assert (done.error.code, done.error.reason) == ("CANCELLED", "CANCELLED")
    assert cancel(bary, made.name).state == t.JOB_STATE_CANCELLED


def test_a_queued_job_is_cancelled_at_once(bary: Client, noise: str) -> None:
    first = long_fit(bary, noise)
    until(lambda: get(bary, first.name).state == t.JOB_STATE_RUNNING, "running")
    second = long_fit(bary, noise)
    third = long_fit(bary, noise)
    assert get(bary, second.name).state == t.JOB_STATE_QUEUED
    assert get(bary, third.name).queue_position == get(bary, second.name).queue_position + 1
    assert cancel(bary, second.name).state == t.JOB_STATE_CANCELLED
    assert get(bary, third.name).queue_position == 0
    cancel(bary, third.name)
    cancel(bary, first.name)


def test_jobs_are_cancelled_and_listed_by_tag(bary: Client, noise: str) -> None:
    tag = f"tag-{uuid.uuid4().hex[:8]}"
    made = [long_fit(bary, noise, tags=[tag, "other"]) for _ in range(3)]
    listed = bary.job.List(job.ListJobsRequest(tag=tag)).jobs
    assert [j.name for j in listed] == [j.name for j in reversed(made)]
    assert list(listed[0].tags) == [tag, "other"]
    bary.job.Cancel(job.CancelJobRequest(tag=tag))
    for one in made:
        assert wait(bary, one.name).state == t.JOB_STATE_CANCELLED
    assert len(bary.job.List(job.ListJobsRequest(tag=tag, state=t.JOB_STATE_CANCELLED)).jobs) == 3
    assert not bary.job.List(job.ListJobsRequest(tag=tag, state=t.JOB_STATE_RUNNING)).jobs


def test_jobs_come_in_pages_newest_first(bary: Client) -> None:
    tag = f"tag-{uuid.uuid4().hex[:8]}"
    made = [bary.fit(X, 2, tags=[tag], model="paged").name for _ in range(5)]
    seen, token = [], ""
    while True:
        page = bary.job.List(job.ListJobsRequest(tag=tag, page_size=2, page_token=token))
        seen += [j.name for j in page.jobs]
        token = page.next_page_token
        if not token:
            break
    assert seen == made[::-1]
    page = bary.job.List(job.ListJobsRequest(tag=tag, page_size=2))
    assert not page.jobs[0].HasField("fit")
    with refused("MALFORMED"):
        bary.job.List(job.ListJobsRequest(tag="another", page_size=2, page_token=page.next_page_token))


def test_max_runtime_ends_a_job(bary: Client, noise: str) -> None:
    made = long_fit(bary, noise, max_runtime=0.4)
    done = wait(bary, made.name)
    assert done.state == t.JOB_STATE_FAILED
    assert done.error.reason == "RUNTIME_EXCEEDED"
    assert done.error.code == "DEADLINE_EXCEEDED"
    assert done.error.message == f"job '{done.error.metadata['name']}' ran longer than max_runtime=400 ms"


def test_the_same_request_id_makes_one_job(bary: Client, noise: str) -> None:
    request = fit_request(noise, 4, max_iter=3, request_id=str(uuid.uuid4()))
    one, two = bary.clustering.Fit(request), bary.clustering.Fit(request)
    assert one.name == two.name
    done = wait(bary, one.name)
    again = bary.clustering.Fit(request)
    assert (again.name, again.state) == (one.name, t.JOB_STATE_SUCCEEDED)
    assert again.fit.inertia == done.fit.inertia
    request.n_clusters = 5
    with refused("REQUEST_ID_REUSED", f"request id '{request.options.request_id}' was used before with another request"):
        bary.clustering.Fit(request)


def test_centers_and_labels_are_read_in_chunks_from_any_row(bary: Client, noise: str) -> None:
    name = bary.clustering.Fit(fit_request(noise, 6, random_state=1, max_iter=4)).name
    done = wait(bary, name)
    read = list(bary.job.Read(job.ReadJobRequest(name=name, array=job.JOB_ARRAY_LABELS), timeout=30))
    labels = np.concatenate([array(r.values).ravel() for r in read])
    np.testing.assert_array_equal(labels, array(done.fit.labels))
    assert [r.first_row for r in read] == np.cumsum([0] + [r.values.rows for r in read])[:-1].tolist()
    part = list(bary.job.Read(job.ReadJobRequest(name=name, array=job.JOB_ARRAY_LABELS, first_row=399_000), timeout=30))
    np.testing.assert_array_equal(np.concatenate([array(r.values).ravel() for r in part]), labels[399_000:])
    read = list(bary.job.Read(job.ReadJobRequest(name=name, array=job.JOB_ARRAY_CLUSTER_CENTERS), timeout=30))
    np.testing.assert_array_equal(np.vstack([array(r.values) for r in read]), array(done.fit.cluster_centers))
    with refused("OUT_OF_RANGE"):
        list(bary.job.Read(job.ReadJobRequest(name=name, array=job.JOB_ARRAY_LABELS, first_row=400_001)))
    with refused("UNKNOWN_VALUE"):
        list(bary.job.Read(job.ReadJobRequest(name=name)))


def test_centers_too_big_for_a_message_are_read(bary: Client) -> None:
    data = np.random.default_rng(8).normal(size=(300, 4000)).astype("float32")
    bary.store(data, "many-centers")
    name = bary.clustering.Fit(fit_request("many-centers", 120, max_iter=1, init=t.INIT_RANDOM, n_init=1, model="many-centers")).name
    done = wait(bary, name)
    assert done.state == t.JOB_STATE_SUCCEEDED, done.error
    assert done.fit.centers_omitted
    assert not done.fit.HasField("cluster_centers")
    read = list(bary.job.Read(job.ReadJobRequest(name=name, array=job.JOB_ARRAY_CLUSTER_CENTERS), timeout=30))
    centers = np.vstack([array(r.values) for r in read])
    assert len(read) > 1
    assert centers.shape == (120, 4000)
    counted = bary.model.Get(wire.model.GetModelRequest(name="many-centers"))
    assert not counted.HasField("cluster_centers")
    labels = array(done.fit.labels)
    assert np.bincount(labels, minlength=120).tolist() == list(done.fit.sizes)


def test_reading_a_live_job_is_refused(bary: Client, noise: str) -> None:
    made = long_fit(bary, noise)
    with pytest.raises(grpc.RpcError) as caught:
        list(bary.job.Read(job.ReadJobRequest(name=made.name, array=job.JOB_ARRAY_LABELS)))
    error = wire.must_be_well_formed(caught.value)
    assert error.code in ("FAILED_PRECONDITION", "NOT_FOUND"), error.message
    cancel(bary, made.name)


def test_an_unknown_job_is_not_found(bary: Client) -> None:
    for call in (
        lambda: get(bary, "none"),
        lambda: cancel(bary, "none"),
        lambda: wait(bary, "none"),
        lambda: list(bary.job.Watch(job.WatchJobRequest(name="none"))),
        lambda: list(bary.job.Read(job.ReadJobRequest(name="none", array=job.JOB_ARRAY_LABELS))),
    ):
        with refused("JOB_NOT_FOUND", "job 'none' does not exist"):
            call()


def test_a_call_that_is_late_says_so(bary: Client, noise: str) -> None:
    """The client's own clock may be first; then there are no details."""
    made = long_fit(bary, noise)
    stream = bary.job.Watch(job.WatchJobRequest(name=made.name), timeout=0.3)
    with pytest.raises(grpc.RpcError) as caught:
        list(stream)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert get(bary, made.name).state == t.JOB_STATE_RUNNING
    cancel(bary, made.name)


def test_the_end_of_its_call_cancels_an_ephemeral_fit(bary: Client, shared: object) -> None:
    rows = NOISE[:20_000, :8]
    call = bary.clustering.Fit.future(fit_request(rows, 8, max_iter=1_000_000, fixed_rounds=True, wait=50), timeout=55)
    until(lambda: shared.metric("jobs_running") >= 1, "running")
    call.cancel()
    until(lambda: shared.metric("jobs_running") == 0, "cancelled with its call")


def test_a_small_ephemeral_fit_leaves_no_job(bary: Client) -> None:
    before = len(bary.job.List(job.ListJobsRequest(page_size=1000)).jobs)
    assert bary.fit(X, 4).state == t.JOB_STATE_SUCCEEDED
    assert len(bary.job.List(job.ListJobsRequest(page_size=1000)).jobs) == before
