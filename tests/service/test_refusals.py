"""What is wrong is refused in words that name the thing, the value and the limit."""

from __future__ import annotations

import re
from collections.abc import Callable

import grpc
import numpy as np
import pytest
import wire
from reference import blobs
from wire import Client, clustering, dataset, fit_request, matrix, model_ref, source, t

X = blobs(30, 2, 3, seed=4)


def holed(value: float, row: int = 7, column: int = 1) -> np.ndarray:
    out = X.copy()
    out[row, column] = value
    return out


def raw(dtype: int = 2, rows: int = 30, columns: int = 2, size: int = 480) -> object:
    """A matrix whose words need not fit together."""
    return t.Source(matrix=t.Matrix(dtype=dtype, rows=rows, columns=columns, data=bytes(size)))


def fit(data: object = X, k: int = 3, **fields: object) -> Callable[[Client], object]:
    return lambda bary: bary.fit(data, k, **fields)


def predict(data: object = X, centers: object = X[:3], **fields: object) -> Callable[[Client], object]:
    request = clustering.PredictRequest(model=model_ref(centers), source=source(data), **fields)
    return lambda bary: bary.clustering.Predict(request, timeout=20)


def evaluate(data: object = X, centers: object = X[:3], weight: object = None, **fields: object) -> Callable[[Client], object]:
    request = clustering.EvaluateRequest(model=model_ref(centers), source=source(data), **fields)
    if weight is not None:
        request.sample_weight.values.CopyFrom(matrix(weight))
    return lambda bary: bary.clustering.Evaluate(request, timeout=20)


def weights(value: float, at: int = 2) -> np.ndarray:
    out = np.ones(30)
    out[at] = value
    return out


def table(*columns: tuple[str, int], rows: int = 4, blocks: int | None = None) -> object:
    schema = t.Schema(columns=[t.Column(name=name, dtype=t.DTYPE_F64, width=width) for name, width in columns])
    data = [bytes(8 * rows * width) for _, width in columns][:blocks]
    return t.Source(table=t.Table(schema=schema, rows=rows, data=data))


def create(**fields: object) -> Callable[[Client], object]:
    words = {"encoding": dataset.ENCODING_BLOCKS, "schema": t.Schema(columns=[t.Column(name="x", dtype=2, width=2)]), "rows": 10}
    words.update(fields)
    return lambda bary: bary.dataset.Create(dataset.CreateDatasetRequest(**{k: v for k, v in words.items() if v is not None}))


NAN_ROW = "non-finite values; the first is {} at row 7, column 1"
# what is asked, the reason, the sentence (a pattern that must match whole)
ROWS: dict[str, tuple[Callable[[Client], object], str, str]] = {
    "bytes do not fit the shape": (fit(raw(size=479)), "SHAPE_MISMATCH", r".*479 bytes.*480.*"),
    "bytes are missing": (fit(raw(size=0)), "SHAPE_MISMATCH", r".*0 bytes.*480.*"),
    "a shape that overflows": (fit(raw(rows=1 << 39, columns=65536)), "SHAPE_MISMATCH|OUT_OF_RANGE|EXCEEDS_CAPACITY|MALFORMED", r".*"),
    "negative rows": (fit(raw(rows=-1)), "OUT_OF_RANGE", r".*-1.*"),
    "negative columns": (fit(raw(columns=-2)), "OUT_OF_RANGE", r".*-2.*"),
    "too many columns": (fit(raw(columns=65537)), "OUT_OF_RANGE", r".*65537.*65536.*"),
    "too many rows": (fit(raw(rows=(1 << 40) + 1)), "OUT_OF_RANGE", rf".*{(1 << 40) + 1}.*{1 << 40}.*"),
    "no dtype": (fit(raw(dtype=0)), "UNKNOWN_VALUE|MISSING", r".*dtype.*"),
    "an unknown dtype": (fit(raw(dtype=99)), "UNKNOWN_VALUE", r".*dtype is 99; known are .*F32.*"),
    "NaN": (fit(holed(np.nan)), "NON_FINITE", r".* has 1 non-finite values; the first is nan at row 7, column 1"),
    "infinity": (fit(holed(np.inf)), "NON_FINITE", r".* has 1 non-finite values; the first is inf at row 7, column 1"),
    "minus infinity": (fit(holed(-np.inf)), "NON_FINITE", r".* has 1 non-finite values; the first is -inf at row 7, column 1"),
    "a value beyond the range": (fit(holed(1e300)), "ROW_OUT_OF_RANGE|OUT_OF_RANGE", r".*1e\+300.*"),
    "n_clusters = 0": (fit(k=0), "OUT_OF_RANGE", r"n_clusters is 0; it must be .*1.*"),
    "n_clusters < 0": (fit(k=-4), "OUT_OF_RANGE", r"n_clusters is -4; it must be .*1.*"),
    "n_clusters over the limit": (fit(k=(1 << 20) + 1), "OUT_OF_RANGE", r"n_clusters is 1048577; it must be .*1048576.*"),
    "n_clusters > rows": (fit(k=31), "TOO_FEW_ROWS", r".* has 30 rows that take part; n_clusters=31 needs at least that many"),
    "max_iter < 0": (fit(max_iter=-1), "OUT_OF_RANGE", r"max_iter is -1; it must be .*"),
    "max_iter over the limit": (fit(max_iter=1_000_001), "OUT_OF_RANGE", r"max_iter is 1000001; it must be .*1000000.*"),
    "n_init < 0": (fit(n_init=-1), "OUT_OF_RANGE", r"n_init is -1; it must be .*"),
    "n_init over the limit": (fit(n_init=10_001), "OUT_OF_RANGE", r"n_init is 10001; it must be .*10000.*"),
    "tol < 0": (fit(tol=-1e-3), "OUT_OF_RANGE", r"tol is -0.001; it must be .*"),
    "tol is NaN": (fit(tol=float("nan")), "OUT_OF_RANGE", r"tol is -?nan; it must be .*"),
    "an unknown init": (fit(init=77), "UNKNOWN_VALUE", r"init is 77; known are .*"),
    "an unknown algorithm": (fit(algorithm=77), "UNKNOWN_VALUE", r"algorithm is 77; known are .*"),
    "an unknown non_finite": (fit(non_finite=77), "UNKNOWN_VALUE", r"non_finite is 77; known are .*"),
    "an unknown empty_clusters": (fit(empty_clusters=77), "UNKNOWN_VALUE", r"empty_clusters is 77; known are .*"),
    "centers wanted and not given": (fit(init=t.INIT_CENTERS), "MISSING", r".*centers.*"),
    "centers of the wrong width": (fit(init_centers=np.zeros((3, 5))), "SHAPE_MISMATCH", r".* has 5 columns; it must have 2, .*"),
    "centers of the wrong count": (fit(init_centers=np.zeros((4, 2))), "SHAPE_MISMATCH", r".* has 4 rows; it must have 3, .*"),
    "centers with NaN": (fit(init_centers=holed(np.nan, 1)[:3]), "NON_FINITE", r".*at row 1, column 1"),
    "a negative weight": (fit(sample_weight=weights(-0.5)), "ROW_OUT_OF_RANGE|OUT_OF_RANGE", r".*-0\.5.*"),
    "an infinite weight": (fit(sample_weight=weights(np.inf)), "ROW_OUT_OF_RANGE|OUT_OF_RANGE|NON_FINITE", r".*inf.*"),
    "a NaN weight": (fit(sample_weight=weights(np.nan)), "ROW_OUT_OF_RANGE|OUT_OF_RANGE|NON_FINITE", r".*nan.*"),
    "too few weights": (fit(sample_weight=np.ones(29)), "SHAPE_MISMATCH", r".*29.*30.*"),
    "weights that are all zero": (fit(sample_weight=np.zeros(30)), "TOO_FEW_ROWS", r".* has 0 rows that take part; n_clusters=3 .*"),
    "a weight column that is not there": (fit(table(("a", 1), ("b", 1)), 2, sample_weight="w"), "UNKNOWN_VALUE|MISSING", r".*w.*"),
    "a weight column without a feature left": (fit(table(("w", 1)), 2, sample_weight="w"), ".*", r".*"),
    "a table without one of its blocks": (fit(table(("a", 1), ("b", 1), blocks=1), 2), "SHAPE_MISMATCH|MISSING", r".*"),
    "a table with a name twice": (fit(table(("a", 1), ("a", 1)), 2), ".*", r".*a.*"),
    "a table without columns": (fit(table(), 2), "MISSING|OUT_OF_RANGE|SHAPE_MISMATCH", r".*"),
    "no source": (fit(t.Source(), 2), "MISSING", r".*source.*"),
    "an unknown dataset": (fit("none"), "DATASET_NOT_FOUND", r"dataset 'none' does not exist"),
    "a dataset's name that is none": (fit("No/Such"), "DATASET_NOT_FOUND|OUT_OF_RANGE", r".*No/Such.*"),
    "another namespace": (fit("namespaces/other/datasets/x"), "DATASET_NOT_FOUND", r".*namespaces/other/datasets/x.* does not exist"),
    "a path": (fit("/etc/passwd"), "DATASET_NOT_FOUND|OUT_OF_RANGE", r".*"),
    "a model's name that is none": (fit(model="Has Blanks"), "OUT_OF_RANGE", r".*model.* is .*Has Blanks.*"),
    "seventeen tags": (fit(tags=[str(i) for i in range(17)], model="m"), "OUT_OF_RANGE", r".*tags.*17.*16.*"),
    "a GPU where none is": (
        lambda bary: bary.clustering.Fit(with_backend(t.BACKEND_GPU)), "NO_DEVICE", r"no .*device is available: .*"),
    "a device that is not there": (lambda bary: bary.clustering.Fit(with_device(9)), "NO_DEVICE|OUT_OF_RANGE", r".*9.*|no .*"),
    "threads < 0": (lambda bary: bary.clustering.Fit(with_threads(-1)), "OUT_OF_RANGE", r".*threads is -1; it must be .*"),
    "a request id that is none": (fit(request_id="not a uuid", model="m"), "OUT_OF_RANGE|MALFORMED", r".*request_id.*"),
    "predict: unknown model": (predict(centers="none"), "MODEL_NOT_FOUND", r"model 'none' does not exist"),
    "predict: unknown version": (predict(centers="none/versions/3"), "MODEL_NOT_FOUND", r"model 'none/versions/3' does not exist"),
    "predict: no model": (
        lambda bary: bary.clustering.Predict(clustering.PredictRequest(source=source(X))), "MISSING", r".*model.*"),
    "predict: wrong width": (predict(X[:, :1]), "SHAPE_MISMATCH", r".*1 columns?.*2.*"),
    "predict: NaN": (predict(holed(np.nan)), "NON_FINITE", r".*the first is nan at row 7, column 1"),
    "predict: NaN in centers": (predict(centers=holed(np.nan)[5:9]), "NON_FINITE", r".*row 2, column 1"),
    "predict: no source": (predict(t.Source()), "MISSING", r".*source.*"),
    "evaluate: unknown score": (evaluate(scores=[9]), "UNKNOWN_VALUE", r".*9; known are .*"),
    "evaluate: wrong width": (evaluate(X[:, :1]), "SHAPE_MISMATCH", r".*"),
    "evaluate: negative weight": (evaluate(weight=weights(-1)), "ROW_OUT_OF_RANGE|OUT_OF_RANGE", r".*-1.*"),
    "create: no encoding": (create(encoding=None), "UNKNOWN_VALUE|MISSING", r".*encoding.*"),
    "create: unknown encoding": (create(encoding=9), "UNKNOWN_VALUE", r".*encoding is 9; known are .*"),
    "create: bad id": (create(id="Bad Name"), "OUT_OF_RANGE", r".*is '?Bad Name'?; it must be .*"),
    "create: long id": (create(id="a" * 64), "OUT_OF_RANGE", r".*"),
    "create: no schema": (create(schema=None), "MISSING|OUT_OF_RANGE|SHAPE_MISMATCH", r".*"),
    "create: no rows": (create(rows=None), "OUT_OF_RANGE|MISSING", r".*rows.*"),
    "create: negative rows": (create(rows=-5), "OUT_OF_RANGE", r".*rows.* is -5; it must be .*"),
    "create: too many rows": (create(rows=(1 << 40) + 1), "OUT_OF_RANGE", r".*"),
    "create: more than memory": (create(rows=1 << 38), "EXCEEDS_CAPACITY", r".* needs \d+ bytes; this server offers \d+ at most"),
    "create: negative ttl": (lambda bary: bary.dataset.Create(with_ttl(-1)), "OUT_OF_RANGE", r".*ttl.*"),
    "create: npy without bytes": (create(encoding=2, schema=None, rows=None), "OUT_OF_RANGE|MISSING", r".*total.bytes.*"),
    "create: wrong total": (create(total_bytes=161), "SHAPE_MISMATCH", r".*161.*160.*"),
    "create: bad hash": (create(content_hash="xyz"), "OUT_OF_RANGE|MALFORMED|SHAPE_MISMATCH", r".*content_hash.*"),
    "upload: unknown": (
        lambda bary: bary.dataset.Upload(iter([dataset.UploadRequest(upload_id="none")])), "UPLOAD_NOT_FOUND",
        r"upload 'none' does not exist"),
    "upload: no header": (lambda bary: bary.dataset.Upload(iter([wire.chunk(0, b"1" * 80)])), "MISSING|UPLOAD_NOT_FOUND", r".*upload.*"),
    "upload: nothing": (lambda bary: bary.dataset.Upload(iter([])), "MISSING|MALFORMED", r".*"),
    "commit: unknown": (
        lambda bary: bary.dataset.Commit(dataset.CommitDatasetRequest(upload_id="none")), "UPLOAD_NOT_FOUND",
        r"upload 'none' does not exist"),
    "get: unknown dataset": (
        lambda bary: bary.dataset.Get(dataset.GetDatasetRequest(name="none")), "DATASET_NOT_FOUND", r"dataset 'none' does not exist"),
    "get: unknown model": (
        lambda bary: bary.model.Get(wire.model.GetModelRequest(name="none")), "MODEL_NOT_FOUND", r"model 'none' does not exist"),
    "delete: unknown model": (
        lambda bary: bary.model.Delete(wire.model.DeleteModelRequest(name="none")), "MODEL_NOT_FOUND", r"model 'none' does not exist"),
    "cancel: nothing named": (lambda bary: bary.job.Cancel(wire.job.CancelJobRequest()), "MISSING|JOB_NOT_FOUND", r".*"),
    "list: negative page": (
        lambda bary: bary.job.List(wire.job.ListJobsRequest(page_size=-1)), "OUT_OF_RANGE", r"page_size is -1; it must be .*"),
    "list: unknown state": (
        lambda bary: bary.job.List(wire.job.ListJobsRequest(state=44)), "UNKNOWN_VALUE", r".*state is 44; known are .*"),
}  # fmt: skip


def with_backend(backend: int) -> object:
    request = fit_request(X, 3, wait=5)
    request.placement.backend = backend
    request.placement.forbid_fallback = True
    return request


def with_device(device: int) -> object:
    request = fit_request(X, 3, wait=5)
    request.placement.device.value = device
    return request


def with_threads(threads: int) -> object:
    request = fit_request(X, 3, wait=5)
    request.placement.threads = threads
    return request


def with_ttl(seconds: int) -> object:
    request = wire.create_request(X)
    request.ttl.seconds = seconds
    return request


def outcome(call: Callable[[Client], object], bary: Client) -> tuple[str, str]:
    """Reason and sentence, whether the call was refused or its job failed."""
    try:
        reply = call(bary)
    except grpc.RpcError as error:
        found = wire.must_be_well_formed(error)
        return found.reason, found.message
    assert getattr(reply, "state", None) == t.JOB_STATE_FAILED, f"it was taken: {str(reply)[:400]}"
    code, _, sentence = wire.STATUSES[reply.error.reason]
    assert reply.error.code == code
    assert sentence.count("{") <= len(reply.error.metadata)
    return reply.error.reason, reply.error.message


@pytest.mark.parametrize("what", ROWS)
def test_refused(bary: Client, what: str) -> None:
    call, reason, sentence = ROWS[what]
    found, message = outcome(call, bary)
    print(f"{what}: {found}: {message}")
    assert re.fullmatch(reason, found), f"{found}: {message}"
    assert re.fullmatch(sentence, message), f"{found}: {message}"
    assert found not in ("BUG", "IO"), message


def test_what_was_refused_left_nothing(own: tuple[object, Client]) -> None:
    server, bary = own
    bary.fit(X, 3)
    reserved, descriptors = server.metric("memory_reserved_bytes"), server.descriptors()
    for call, _, _ in ROWS.values():
        outcome(call, bary)
    assert server.metric("memory_reserved_bytes") == reserved
    assert server.metric("datasets") == 0
    assert server.metric("models") == 0
    assert server.descriptors() <= descriptors + 4


def test_a_bad_chunk_is_refused_by_its_place(bary: Client) -> None:
    made = bary.dataset.Create(wire.create_request(X))
    send = lambda *chunks: bary.dataset.Upload(iter([dataset.UploadRequest(upload_id=made.upload_id), *chunks]))  # noqa: E731
    for bad in (
        wire.chunk(0, b"1" * 17),
        wire.chunk(29, bytes(32)),
        wire.chunk(-1, bytes(16)),
        wire.chunk(1 << 62, bytes(16)),
        wire.chunk(0, b""),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            send(bad)
        error = wire.must_be_well_formed(caught.value)
        assert error.reason in ("SHAPE_MISMATCH", "OUT_OF_RANGE", "MALFORMED"), error.message
    big = bytes((3 << 20) + 16)
    with pytest.raises(grpc.RpcError) as caught:
        send(wire.chunk(0, big))
    assert wire.must_be_well_formed(caught.value).code in ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED")
    assert send(wire.chunk(0, X.tobytes())).held_total == len(X)
