"""Writes the valid inputs that the fuzz targets start from: .venv/bin/python tests/golden/fuzz/make.py (needs BARYD)."""

from __future__ import annotations

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "service"))

import numpy as np  # noqa: E402
import wire  # noqa: E402
from wire import clustering, dataset, fit_request, job, model_ref, source, t  # noqa: E402

X = np.arange(12.0).reshape(6, 2)
METHODS = re.findall(r'^METHOD\("([\w.]+)", "(\w+)"', (wire.ROOT / "rpc/methods.def").read_text(), re.MULTILINE)


def write(folder: str, name: str, content: bytes) -> None:
    (HERE / folder).mkdir(exist_ok=True)
    (HERE / folder / name).write_bytes(content)


def table() -> object:
    schema = t.Schema(columns=[t.Column(name="a", dtype=t.DTYPE_F32, width=1), t.Column(name="b", dtype=t.DTYPE_I16, width=2)])
    return t.Source(table=t.Table(schema=schema, rows=2, data=[bytes(8), bytes(8)]))


def requests() -> dict[str, object]:
    full = fit_request(X, 2, wait=1.5, tol=1e-3, init_centers=X[:2], sample_weight=np.ones(6), tags=["a", "b"], max_runtime=9, model="m")
    full.placement.device.value = 1
    return {
        "Fit": full,
        "Fit.table": fit_request(table(), 2, sample_weight="a"),
        "Fit.dataset": fit_request(t.Source(dataset=t.DatasetRef(name="d", columns=["a"], rows=t.RowRange(first=1, count=2))), 2),
        "FitBatch": wire.batch_request(X.reshape(2, 3, 2), [2, 1], wait=1, random_state_each=[5, 6], init_centers=X[:3]),
        "FitBatch.ragged": wire.batch_request(X, 2, row_offsets=[0, 2, 6], sample_weight=np.ones(6)),
        "Predict": clustering.PredictRequest(model=model_ref("m/versions/1"), source=source(X), distances=True),
        "PredictStream": clustering.PredictRequest(model=model_ref(X), source=source("d")),
        "Evaluate": clustering.EvaluateRequest(model=model_ref(X), source=source(X), scores=[1]),
        "Create": wire.create_request(X, "d", request_id="2f1c1e1c-6f0e-4b1d-8a3a-0a0b0c0d0e0f"),
        "Commit": dataset.CommitDatasetRequest(upload_id="u", content_hash="0" * 64),
        "List": job.ListJobsRequest(page_size=3, page_token="00ff", tag="a", state=2),
        "Cancel": job.CancelJobRequest(tag="a"),
        "Wait": job.WaitJobRequest(name="j"),
        "Watch": job.WatchJobRequest(name="j", after_sequence=1 << 40),
        "Read": job.ReadJobRequest(name="j", array=2, first_row=7),
    }


def main() -> None:
    names = [method for _, method in METHODS]
    for name, message in requests().items():
        service = {"List": "JobService"}.get(name)
        at = next(i for i, (s, m) in enumerate(METHODS) if m == name.split(".")[0] and (service is None or s.endswith(service)))
        write("request", name, bytes([at]) + message.SerializeToString())
    assert names
    for i, chunk in enumerate([dataset.UploadRequest(upload_id="u"), wire.chunk(3, X.tobytes()), wire.chunk(1 << 40, b"")]):
        write("chunk", str(i), bytes([7]) + chunk.SerializeToString())
    for i, text in enumerate(["iris", "namespaces/default/models/m/versions/3", "2f1c1e1c-6f0e-4b1d-8a3a-0a0b0c0d0e0f"]):
        write("handle", str(i), text.encode())


if __name__ == "__main__":
    main()
