"""Models are immutable, versioned, and there again after a restart."""

from __future__ import annotations

import numpy as np
import pytest
import wire
from reference import blobs
from wire import Client, array, model, refused, t

X = blobs(2000, 3, 4, seed=5)


def get(bary: Client, name: str) -> object:
    return bary.model.Get(model.GetModelRequest(name=name))


def names(bary: Client, size: int = 1000) -> list[str]:
    """All models, by pages."""
    out, token = [], ""
    while True:
        page = bary.model.List(model.ListModelsRequest(page_size=size, page_token=token))
        out += [m.name for m in page.models]
        token = page.next_page_token
        if not token:
            return out


@pytest.mark.smoke
def test_a_model_is_what_the_fit_said(bary: Client) -> None:
    fit = bary.fit(X, 4, random_state=9, model="told", max_iter=50, tol=1e-3).fit
    got = get(bary, "told")
    assert got.name == fit.model == "namespaces/default/models/told/versions/1"
    assert got.cluster_centers == fit.cluster_centers
    assert (got.inertia, got.n_iter, got.label_fingerprint) == (fit.inertia, fit.n_iter, fit.label_fingerprint)
    assert (got.version, got.n_clusters, got.columns, got.rows, got.dtype) == (1, 4, 3, 2000, t.DTYPE_F64)
    assert (got.max_iter, got.tol, got.random_state, got.stop) == (50, 1e-3, 9, fit.stop)
    assert list(got.sizes) == list(fit.sizes)
    assert got.numerics_version == fit.numerics_version
    assert len(got.content_hash) == 64
    assert got.bytes > 0


def test_versions_count_up_and_the_newest_answers(bary: Client) -> None:
    one, two = (bary.fit(X, k, model="counted").fit for k in (2, 3))
    assert get(bary, "counted").name == two.model
    assert get(bary, "counted/versions/1").cluster_centers == one.cluster_centers
    bary.model.Delete(model.DeleteModelRequest(name="counted/versions/2"))
    assert get(bary, "counted").name == one.model
    with refused("MODEL_NOT_FOUND"):
        get(bary, "counted/versions/2")
    three = bary.fit(X, 4, model="counted").fit
    assert three.model.endswith("/versions/3"), "a version's number is never used again"
    bary.model.Delete(model.DeleteModelRequest(name="counted"))
    with refused("MODEL_NOT_FOUND", "model 'counted' does not exist"):
        get(bary, "counted")


def test_models_come_in_pages(own: tuple[object, Client]) -> None:
    bary = own[1]
    made = {bary.fit(X, 2, model=f"paged-{i % 4}").fit.model for i in range(7)}
    for size in (1, 3, 7, 1000):
        listed = names(bary, size)
        assert (set(listed), len(listed)) == (made, 7)
    assert not bary.model.List(model.ListModelsRequest()).models[0].HasField("cluster_centers")


def test_a_restart_keeps_models_and_forgets_datasets(own: tuple[object, Client]) -> None:
    server, bary = own
    bary.store(X, "forgotten")
    fit = bary.fit(X, 4, model="kept").fit
    bary.fit(X, 3, model="deleted")
    bary.model.Delete(model.DeleteModelRequest(name="deleted"))
    before = get(bary, "kept")
    bary.close()
    server.stop()
    server.start()
    with Client(server.unix) as again:
        assert names(again) == [fit.model]
        assert get(again, "kept") == before
        with refused("DATASET_NOT_FOUND"):
            again.fit("forgotten", 4)
        request = wire.clustering.PredictRequest(model=wire.model_ref("kept"), source=wire.source(X))
        np.testing.assert_array_equal(array(again.clustering.Predict(request).labels), array(fit.labels))
        assert again.fit(X, 4, model="kept").fit.model.endswith("/versions/2")


def test_a_damaged_model_is_said_to_be_and_harms_no_other(own: tuple[object, Client]) -> None:
    server, bary = own
    bary.fit(X, 4, model="good")
    before = set(server.state.glob("models/*.model"))
    bary.fit(X, 4, model="bad")
    bary.close()
    server.stop()
    (file,) = set(server.state.glob("models/*.model")) - before
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x40
    file.write_bytes(content)
    server.start()
    with Client(server.unix) as again:
        with refused("DAMAGED"):
            predict(again, "bad")
        assert predict(again, "good").rows == len(X)
        assert again.fit(X, 4, model="next").state == t.JOB_STATE_SUCCEEDED


@pytest.mark.parametrize("harm", ["gone", "short", "long", "empty"])
def test_a_model_whose_file_is_not_whole_is_listed_as_lost(own: tuple[object, Client], harm: str) -> None:
    server, bary = own
    bary.fit(X, 4, model="good")
    before = set(server.state.glob("models/*.model"))
    bary.fit(X, 4, model="bad")
    bary.close()
    server.stop()
    (file,) = set(server.state.glob("models/*.model")) - before
    content = file.read_bytes()
    file.unlink()
    if harm != "gone":
        file.write_bytes({"short": content[:-1], "long": content + b"x", "empty": b""}[harm])
    server.start()
    with Client(server.unix) as again:
        with refused("DAMAGED"):
            predict(again, "bad")
        assert predict(again, "good").rows == len(X)
        again.model.Delete(model.DeleteModelRequest(name="bad"))
        assert names(again) == ["namespaces/default/models/good/versions/1"]


def predict(bary: Client, name: str) -> object:
    return bary.clustering.Predict(wire.clustering.PredictRequest(model=wire.model_ref(name), source=wire.source(X)))
