"""A dataset is a sealed table: created, filled in checked chunks, committed, listed, deleted."""

from __future__ import annotations

import hashlib
import io
import struct

import grpc
import numpy as np
import pytest
import wire
from reference import blobs
from server import rows_for
from wire import Client, array, chunk, crc32c, create_request, dataset, refused, t

X = blobs(5000, 3, 4, seed=2)
BYTES = X.nbytes


def opened(bary: Client, name: str = "", data: np.ndarray = X) -> str:
    """An upload that is open."""
    made = bary.dataset.Create(create_request(data, name))
    assert made.state == dataset.DATASET_STATE_OPEN
    return made.upload_id


def send(bary: Client, upload_id: str, *chunks: object) -> object:
    return bary.dataset.Upload(iter([dataset.UploadRequest(upload_id=upload_id), *chunks]), timeout=20)


def commit(bary: Client, upload_id: str, content_hash: str = "") -> object:
    return bary.dataset.Commit(dataset.CommitDatasetRequest(upload_id=upload_id, content_hash=content_hash), timeout=30)


def get(bary: Client, name: str) -> object:
    return bary.dataset.Get(dataset.GetDatasetRequest(name=name))


@pytest.mark.smoke
def test_a_dataset_is_what_was_uploaded(bary: Client) -> None:
    made = bary.store(X, "whole")
    assert made.name == "namespaces/default/datasets/whole"
    assert made.state == dataset.DATASET_STATE_SEALED
    assert (made.rows, made.bytes, made.volatile) == (len(X), BYTES, True)
    assert [(c.name, c.dtype, c.width) for c in made.schema.columns] == [("x", t.DTYPE_F64, 3)]
    assert len(made.content_hash) == 64
    assert get(bary, "whole") == get(bary, made.name)
    one, two = bary.fit("whole", 4, random_state=1).fit, bary.fit(X, 4, random_state=1).fit
    assert one.cluster_centers == two.cluster_centers
    assert one.labels == two.labels


def test_a_name_is_made_when_none_is_given(bary: Client) -> None:
    one, two = bary.store(X), bary.store(X)
    assert one.name != two.name
    assert one.name.startswith("namespaces/default/datasets/")
    assert one.content_hash == two.content_hash


def test_order_of_chunks_and_number_of_streams_cannot_show(bary: Client) -> None:
    upload_id = opened(bary)
    parts = [(i, X[i : i + 1250]) for i in range(0, 5000, 1250)]
    for first, rows in reversed(parts[2:]):
        send(bary, upload_id, chunk(first, rows.tobytes()))
    held = send(bary, upload_id, *[chunk(first, rows.tobytes()) for first, rows in parts[:2]])
    assert held.held_total == 5000
    assert [(r.first, r.count) for r in held.held] == [(0, 5000)]
    assert commit(bary, upload_id).content_hash == bary.store(X).content_hash


def test_ranges_held_are_told(bary: Client) -> None:
    upload_id = opened(bary)
    held = send(bary, upload_id, chunk(1000, X[1000:2000].tobytes()), chunk(4000, X[4000:].tobytes()))
    assert [(r.first, r.count) for r in held.held] == [(1000, 1000), (4000, 1000)]
    assert (held.held_total, held.ranges) == (2000, 2)


def test_the_same_chunk_again_is_harmless(bary: Client) -> None:
    upload_id, part = opened(bary), chunk(0, X.tobytes())
    send(bary, upload_id, part, part)
    send(bary, upload_id, part)
    assert commit(bary, upload_id).content_hash == bary.store(X).content_hash


def test_commit_may_be_repeated(bary: Client) -> None:
    upload_id = opened(bary)
    send(bary, upload_id, chunk(0, X.tobytes()))
    assert commit(bary, upload_id) == commit(bary, upload_id)


def test_a_wrong_crc_costs_that_chunk_alone(bary: Client) -> None:
    upload_id, payload = opened(bary), X[:2000].tobytes()
    right = crc32c(payload)
    with refused("CHECKSUM") as error:
        send(bary, upload_id, chunk(0, payload, right ^ 1))
    assert f"{right:08x}" in error.message.lower() or str(right) in error.message
    send(bary, upload_id, chunk(0, payload), chunk(2000, X[2000:].tobytes()))
    assert commit(bary, upload_id).content_hash == bary.store(X).content_hash


def test_other_bytes_at_the_same_place_conflict(bary: Client) -> None:
    upload_id = opened(bary)
    send(bary, upload_id, chunk(0, X.tobytes()))
    with refused("UPLOAD_CONFLICT") as error:
        send(bary, upload_id, chunk(0, (X + 1).tobytes()))
    assert error.metadata["offset"] == "0"


def test_a_gap_is_told(bary: Client) -> None:
    upload_id = opened(bary)
    send(bary, upload_id, chunk(0, X[:1000].tobytes()))
    with refused("INCOMPLETE") as error:
        commit(bary, upload_id)
    assert (error.metadata["held"], error.metadata["total"], error.metadata["byte"]) == (str(24000), str(BYTES), str(24000))


def test_sealed_is_sealed(bary: Client) -> None:
    upload_id = opened(bary)
    send(bary, upload_id, chunk(0, X.tobytes()))
    commit(bary, upload_id)
    with refused("ALREADY_SEALED", f"upload '{upload_id}' was committed already"):
        send(bary, upload_id, chunk(0, X.tobytes()))


def test_an_open_dataset_cannot_be_fitted(bary: Client) -> None:
    opened(bary, "still-open")
    with refused("NOT_SEALED", "dataset 'still-open' is OPEN; it must be SEALED"):
        bary.fit("still-open", 4)


def test_a_taken_name_is_refused(bary: Client) -> None:
    bary.store(X, "taken")
    with refused("NAME_TAKEN", "dataset 'taken' exists already"):
        opened(bary, "taken")


def test_the_content_hash_is_compared(bary: Client) -> None:
    good = bary.store(X).content_hash
    upload_id = opened(bary)
    send(bary, upload_id, chunk(0, X.tobytes()))
    assert commit(bary, upload_id, good).content_hash == good
    upload_id = opened(bary)
    send(bary, upload_id, chunk(0, X.tobytes()))
    wrong = hashlib.sha256(b"other").hexdigest()
    with refused("CHECKSUM") as error:
        commit(bary, upload_id, wrong)
    assert {error.metadata["found"], error.metadata["expected"]} == {good, wrong}


def content_hash(encoding: int, columns: list[tuple[str, np.ndarray]], units: int) -> str:
    """The recipe of host/store/object.h, written again."""
    out = hashlib.sha256(b"bary content 1\n" + struct.pack("<IIQ", encoding, len(columns) if encoding == 1 else 0, units))
    if encoding == 1:
        for name, values in columns:
            width = values.shape[1] if values.ndim == 2 else 1
            out.update(struct.pack("<I", len(name)) + name.encode() + struct.pack("<IQ", wire.DTYPES[values.dtype.name], width))
    for _, values in columns:
        content = values.tobytes()
        for at in range(0, len(content), 1 << 20):
            out.update(hashlib.sha256(content[at : at + (1 << 20)]).digest())
    return out.hexdigest()


def test_the_content_hash_is_the_one_described(bary: Client) -> None:
    big = np.random.default_rng(1).normal(size=(100_000, 3))
    assert bary.store(big).content_hash == content_hash(1, [("x", big)], len(big))
    assert bary.store(X[:1]).content_hash == content_hash(1, [("x", X[:1])], 1)
    file = npy(big)
    made = store_npy(bary, file)
    assert made.content_hash == content_hash(2, [("", np.frombuffer(file, np.uint8))], len(file))


def npy(values: np.ndarray, **options: object) -> bytes:
    out = io.BytesIO()
    np.save(out, values, **options)
    return out.getvalue()


def store_npy(bary: Client, content: bytes, name: str = "", size: int = 0) -> object:
    made = bary.dataset.Create(dataset.CreateDatasetRequest(id=name, encoding=dataset.ENCODING_NPY, total_bytes=size or len(content)))
    pieces = [chunk(i, content[i : i + 100_000]) for i in range(0, len(content), 100_000)]
    send(bary, made.upload_id, *pieces)
    return commit(bary, made.upload_id)


@pytest.mark.parametrize("dtype", ["<f8", "<f4", "<f2", "|u1", "<i8", "|b1"])
def test_an_npy_file_is_its_array(bary: Client, dtype: str) -> None:
    values = (X * 2).astype(dtype)
    made = store_npy(bary, npy(values))
    assert (made.rows, made.encoding) == (5000, dataset.ENCODING_NPY)
    start = np.unique(values.astype("float64"), axis=0)[:2] if dtype == "|b1" else values[:4].astype("float64")
    k = len(start)
    one = bary.fit(made.name, k, init=t.INIT_CENTERS, init_centers=start).fit
    two = bary.fit(values if dtype != "|b1" else values.astype("uint8"), k, init=t.INIT_CENTERS, init_centers=start).fit
    np.testing.assert_array_equal(array(one.cluster_centers), array(two.cluster_centers))


def test_an_npy_file_of_columns_first_is_the_same_array(bary: Client) -> None:
    one = bary.fit(store_npy(bary, npy(np.asfortranarray(X))).name, 4, random_state=1).fit
    two = bary.fit(X, 4, random_state=1).fit
    assert one.labels == two.labels


HEADER = npy(X)[:128]
BAD_NPY = {
    "objects": npy(np.array([{}, []], dtype=object), allow_pickle=True),
    "no magic": b"\x00" * 200,
    "a cut header": HEADER[:60],
    "a cut body": npy(X)[:-8],
    "too long a body": npy(X) + b"12345678",
    "three dimensions": npy(np.zeros((2, 3, 4))),
    "text": npy(np.array(["a", "b"])),
    "records": npy(np.zeros(3, dtype=[("a", "f8"), ("b", "i4")])),
    "complex numbers": npy(np.zeros((3, 2), dtype="c16")),
    "big endian": npy(X.astype(">f8")),
    "a header without end": HEADER[:10] + b"{'descr': '<f8', 'shape': (" + b"9" * 91,
    "a huge shape": HEADER.replace(b"(5000, 3)", b"(999999999999, 999999999)")[:128],
    "a negative shape": HEADER.replace(b"(5000, 3)", b"(-500, 3)"),
}


@pytest.mark.parametrize("what", BAD_NPY)
def test_a_bad_npy_file_is_refused_with_its_place(bary: Client, what: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        store_npy(bary, BAD_NPY[what])
    error = wire.must_be_well_formed(caught.value)
    assert error.reason in ("MALFORMED", "UNSUPPORTED", "SHAPE_MISMATCH", "UNKNOWN_VALUE", "OUT_OF_RANGE"), error.message
    if error.reason == "MALFORMED":
        assert int(error.metadata["byte"]) <= len(BAD_NPY[what])


def test_lists_come_in_pages(own: tuple[object, Client]) -> None:
    bary = own[1]
    names = {bary.store(X[:10], f"page-{i}").name for i in range(7)}
    seen, token, pages = [], "", 0
    while True:
        page = bary.dataset.List(dataset.ListDatasetsRequest(page_size=3, page_token=token))
        seen += [d.name for d in page.datasets]
        pages += 1
        token = page.next_page_token
        if not token:
            break
        assert len(page.datasets) == 3
    assert (set(seen), len(seen), pages) == (names, 7, 3)
    with refused("OUT_OF_RANGE"):
        bary.dataset.List(dataset.ListDatasetsRequest(page_size=-1))
    with refused("MALFORMED"):
        bary.dataset.List(dataset.ListDatasetsRequest(page_token="no token of ours"))
    page = bary.dataset.List(dataset.ListDatasetsRequest(page_size=3))
    with refused("MALFORMED"):
        bary.model.List(wire.model.ListModelsRequest(page_token=page.next_page_token))


def test_deleted_is_gone_at_once(bary: Client) -> None:
    bary.store(X, "goes")
    bary.dataset.Delete(dataset.DeleteDatasetRequest(name="goes"))
    with refused("DATASET_NOT_FOUND", "dataset 'goes' does not exist"):
        get(bary, "goes")
    with refused("DATASET_NOT_FOUND", "dataset 'goes' does not exist"):
        bary.fit("goes", 4)
    with refused("DATASET_NOT_FOUND"):
        bary.dataset.Delete(dataset.DeleteDatasetRequest(name="goes"))
    assert bary.store(X, "goes").state == dataset.DATASET_STATE_SEALED


def test_the_same_request_id_makes_one_dataset(bary: Client) -> None:
    request = create_request(X, "once", request_id="2f1c1e1c-6f0e-4b1d-8a3a-0a0b0c0d0e0f")
    one, two = bary.dataset.Create(request), bary.dataset.Create(request)
    assert one.upload_id == two.upload_id
    request.rows += 1
    with refused("REQUEST_ID_REUSED", f"request id '{request.request_id}' was used before with another request"):
        bary.dataset.Create(request)


def test_space_is_given_back(own: tuple[object, Client]) -> None:
    server, bary = own
    before = server.metric("memory_reserved_bytes")
    big = np.zeros((1 << 18, 4))
    bary.store(big, "space")
    assert server.metric("memory_reserved_bytes") >= before + big.nbytes
    assert server.metric("dataset_bytes") >= big.nbytes
    bary.dataset.Delete(dataset.DeleteDatasetRequest(name="space"))
    assert server.metric("memory_reserved_bytes") == before
    assert server.metric("datasets") == 0


def test_a_pinned_dataset_lives_until_its_fit_ends(bary: Client) -> None:
    data = np.random.default_rng(3).normal(size=(rows_for(200_000), 8)).astype("float32")
    bary.store(data, "pinned")
    job = bary.clustering.Fit(wire.fit_request("pinned", 16, max_iter=60, fixed_rounds=True))
    assert get(bary, "pinned").pins >= 1
    bary.dataset.Delete(dataset.DeleteDatasetRequest(name="pinned"))
    done = bary.job.Wait(wire.job.WaitJobRequest(name=job.name), timeout=55)
    assert done.state == t.JOB_STATE_SUCCEEDED
    assert done.fit.n_iter == 60


def test_an_idle_dataset_goes_after_its_ttl(bary: Client) -> None:
    from server import until

    request = create_request(X[:10], "brief")
    request.ttl.seconds = 1
    made = bary.dataset.Create(request)
    bary.upload(made.upload_id, X[:10])
    commit(bary, made.upload_id)

    def gone() -> bool:
        return "namespaces/default/datasets/brief" not in [
            d.name for d in bary.dataset.List(dataset.ListDatasetsRequest(page_size=1000)).datasets
        ]

    until(gone, "gone after its ttl", 15)
