"""Jobs of a server, and the handle of one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from bary import _methods as methods
from bary import errors
from bary._batches import BatchResult
from bary._failure import from_job
from bary._pages import pages
from bary._proto import job_service_pb2 as job
from bary._proto import types_pb2 as types
from bary._requests import CALL_SECONDS_MAX, WAIT_SECONDS, job_state
from bary._results import (
    CountArray,
    FitResult,
    JobStatus,
    LabelArray,
    floats,
    join,
    labels_of,
)
from bary._wire import Array

if TYPE_CHECKING:
    from bary.client import Client


class Handle:
    """What handles of jobs have in common.

    `wait` and `watch` cancel the job when they are interrupted (Ctrl-C), if this handle is the one
    that started it; a handle from `client.jobs` leaves it alone.

    Attributes
    ----------
    name : str
        "namespaces/default/jobs/...".
    """

    def __init__(self, client: Client, message: types.Job, *, owned: bool) -> None:
        self._client = client
        self._last = message
        self._owned = owned
        self.name = message.name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self._status.state})"

    @property
    def _status(self) -> JobStatus:
        return JobStatus.of(self._last)

    def status(self) -> JobStatus:
        """Ask for its present state."""
        if not self._status.done:
            self._last = self._client._unary(methods.JOB_GET, job.GetJobRequest(name=self.name))
        return self._status

    def cancel(self) -> JobStatus:
        """Ask it to stop, which takes 0.1 s at most, and return its state then."""
        answer = self._client._unary(methods.JOB_CANCEL, job.CancelJobRequest(name=self.name))
        if answer.HasField("job"):
            self._last = answer.job
        return self._status

    def wait(self, timeout: float | None = None) -> JobStatus:
        """Wait for its end.

        Parameters
        ----------
        timeout : float, optional
            Seconds; default: until the end.

        Returns
        -------
        JobStatus
            Its last state, however it ended.

        Raises
        ------
        bary.errors.DeadlineError
            It is not over after `timeout`; it goes on. Also a `TimeoutError`.
        """
        end = None if timeout is None else time.monotonic() + timeout
        with self._cancelled_on_interrupt():
            while not self._status.done:
                left = WAIT_SECONDS if end is None else min(WAIT_SECONDS, end - time.monotonic())
                if left <= 0:
                    raise errors.DeadlineError(f"job '{self.name}' is not over after {timeout:g} s")
                request = job.WaitJobRequest(name=self.name)
                request.timeout.FromNanoseconds(int(left * 1e9))
                self._last = self._client._unary(
                    methods.JOB_WAIT, request, timeout=CALL_SECONDS_MAX
                )
        return self._status

    def watch(self) -> Iterator[JobStatus]:
        """Yield its present state, then every change (at most 10 a second), until its end."""
        with self._cancelled_on_interrupt():
            if self._status.done:
                yield self._status
            while not self._status.done:
                request = job.WatchJobRequest(name=self.name)
                for message in self._client._channel.down(methods.JOB_WATCH, request):
                    self._last = message
                    yield self._status

    def _finished(self, timeout: float | None) -> types.Job:
        """Its last message, with its result; raises what it failed with."""
        self.wait(timeout)
        if self._last.HasField("error"):
            raise from_job(self._last.error)
        if self._last.WhichOneof("result") is None:
            self._last = self._client._unary(methods.JOB_GET, job.GetJobRequest(name=self.name))
        return self._last

    def _read(self, array: job.JobArray) -> Array:
        request = job.ReadJobRequest(name=self.name, array=array)
        return join([part.values for part in self._client._channel.down(methods.JOB_READ, request)])

    @contextlib.contextmanager
    def _cancelled_on_interrupt(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            if self._owned and self.name:
                with contextlib.suppress(errors.BaryError):
                    self.cancel()
            raise


class Job(Handle):
    """A fit on the server.

    `wait`, `watch` and `result` cancel it when they are interrupted (Ctrl-C), if this handle is
    the one that `Client.fit` gave; a handle from `client.jobs` leaves it alone.

    Attributes
    ----------
    name : str
        "namespaces/default/jobs/...".
    """

    def result(self, timeout: float | None = None) -> FitResult:
        """Wait for its end and return what it found.

        Raises
        ------
        bary.errors.BaryError
            What it failed with; `bary.errors.CancelledError` when it was cancelled;
            `bary.errors.DeadlineError` when it is not over after `timeout` seconds.
        """
        fit = self._finished(timeout).fit
        centers = (
            np.array(self._read(job.JOB_ARRAY_CLUSTER_CENTERS), dtype=np.float64)
            if fit.centers_omitted
            else floats(fit.cluster_centers)
        )
        return FitResult.of(fit, self._last.report, centers, self._labels(fit))

    def _labels(self, fit: types.FitResult) -> LabelArray | None:
        if fit.HasField("labels"):
            return np.array(join([fit.labels]), dtype=np.int32)
        if fit.labels_omitted:
            return np.array(self._read(job.JOB_ARRAY_LABELS), dtype=np.int32)
        return None


class BatchJob(Handle):
    """A batch of fits on the server, as `Client.fit_batch` gives it; see `Job`.

    Attributes
    ----------
    name : str
        "namespaces/default/jobs/...".
    """

    def __init__(
        self, client: Client, message: types.Job, row_offsets: CountArray, *, owned: bool
    ) -> None:
        super().__init__(client, message, owned=owned)
        self._row_offsets = row_offsets

    def result(self, timeout: float | None = None) -> BatchResult:
        """Wait for its end and return what it found, problem by problem.

        Raises
        ------
        bary.errors.BaryError
            What the whole failed with; a problem's own error is in the result.
            `bary.errors.DeadlineError` when it is not over after `timeout` seconds.
        """
        batch = self._finished(timeout).batch
        centers = (
            np.array(self._read(job.JOB_ARRAY_CLUSTER_CENTERS), dtype=np.float64)
            if batch.centers_omitted
            else floats(batch.cluster_centers)
        )
        labels: LabelArray | None = None
        if batch.labels_omitted:
            labels = np.array(self._read(job.JOB_ARRAY_LABELS), dtype=np.int32)
        elif batch.HasField("labels"):
            labels = labels_of(batch.labels)
        sizes = (
            np.array(self._read(job.JOB_ARRAY_SIZES), dtype=np.int64)
            if batch.sizes_omitted
            else np.array(batch.sizes, dtype=np.int64)
        )
        report = self._last.report
        return BatchResult.of(batch, report, self._row_offsets, centers, labels, sizes)


class Jobs:
    """Jobs of the server: `client.jobs`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def get(self, name: str) -> Job:
        """Return a handle of a job; `bary.errors.JobNotFoundError` if there is none."""
        answer = self._client._unary(methods.JOB_GET, job.GetJobRequest(name=name))
        return Job(self._client, answer, owned=False)

    def list(self, *, tag: str = "", state: str = "") -> list[JobStatus]:
        """Return all jobs; only those with a tag, or in a state such as "running", if given."""
        wanted = job_state(state)

        def fetch(token: str) -> tuple[list[JobStatus], str]:
            request = job.ListJobsRequest(page_token=token, tag=tag, state=wanted)
            answer = self._client._unary(methods.JOB_LIST, request)
            return [JobStatus.of(j) for j in answer.jobs], answer.next_page_token

        return list(pages(fetch))

    def cancel(self, *, name: str = "", tag: str = "") -> None:
        """Cancel one job by its name, or all that bear a tag."""
        request = job.CancelJobRequest()
        if name:
            request.name = name
        else:
            request.tag = tag
        self._client._unary(methods.JOB_CANCEL, request)
