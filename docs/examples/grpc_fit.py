"""Clusters rows over gRPC with nothing but grpcio and stubs made from the .proto files.

pip install grpcio-tools numpy googleapis-common-protos google-crc32c
python -m grpc_tools.protoc -I proto --python_out stubs --grpc_python_out stubs proto/bary/v1/*.proto
PYTHONPATH=stubs python docs/examples/grpc_fit.py 127.0.0.1:7433
"""

import sys
import uuid

import google_crc32c
import grpc
import numpy as np
from bary.v1 import (
    clustering_service_pb2 as clustering,
    clustering_service_pb2_grpc as clustering_grpc,
    dataset_service_pb2 as datasets,
    dataset_service_pb2_grpc as datasets_grpc,
    job_service_pb2 as jobs,
    job_service_pb2_grpc as jobs_grpc,
    types_pb2 as types,
)
from google.rpc import error_details_pb2, status_pb2

CHUNK_ROWS = 16_384  # x 8 columns x 4 bytes = 512 KiB; a chunk may hold up to 3 MiB


def upload(channel: grpc.Channel, x: np.ndarray) -> str:
    """Store rows as a dataset: reserve, stream in checked chunks, seal. Returns its name."""
    stub = datasets_grpc.DatasetServiceStub(channel)
    column = types.Column(name="x", dtype=types.DTYPE_F32, width=x.shape[1])
    opened = stub.Create(
        datasets.CreateDatasetRequest(encoding=datasets.ENCODING_BLOCKS, schema=types.Schema(columns=[column]), rows=len(x))
    )

    def messages():
        yield datasets.UploadRequest(upload_id=opened.upload_id)
        for first in range(0, len(x), CHUNK_ROWS):
            payload = x[first : first + CHUNK_ROWS].tobytes()
            yield datasets.UploadRequest(offset=first, payload=payload, crc32c=google_crc32c.value(payload))

    stub.Upload(messages())
    return stub.Commit(datasets.CommitDatasetRequest(upload_id=opened.upload_id)).name


def fit(channel: grpc.Channel, dataset: str, n_clusters: int) -> types.Job:
    """Start a fit, follow it to its end, return the finished job."""
    request = clustering.FitRequest(source=types.Source(dataset=types.DatasetRef(name=dataset)), n_clusters=n_clusters, model="walkthrough")
    request.random_state.value = 42
    request.options.request_id = str(uuid.uuid4())  # repeating the call cannot start a second fit
    started = clustering_grpc.ClusteringServiceStub(channel).Fit(request)
    for job in jobs_grpc.JobServiceStub(channel).Watch(jobs.WatchJobRequest(name=started.name)):
        print(f"{types.JobState.Name(job.state)[10:].lower():10} {job.progress.fraction:4.0%}", file=sys.stderr)
    if job.state != types.JOB_STATE_SUCCEEDED:
        sys.exit(f"{job.error.reason}: {job.error.message}")
    return job


def predict(channel: grpc.Channel, model: str, x: np.ndarray) -> np.ndarray:
    """Label a few rows, sent inline."""
    rows = types.Matrix(dtype=types.DTYPE_F32, rows=x.shape[0], columns=x.shape[1], data=x.tobytes())
    request = clustering.PredictRequest(model=types.ModelRef(name=model), source=types.Source(matrix=rows))
    reply = clustering_grpc.ClusteringServiceStub(channel).Predict(request, timeout=5)
    return np.frombuffer(reply.labels.data, "<i4")


def explain(error: grpc.RpcError) -> str:
    """The sentence of a refusal, its reason, and what it names."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            info = error_details_pb2.ErrorInfo()
            for detail in status_pb2.Status.FromString(value).details:
                if detail.Unpack(info):
                    return f"{info.reason}: {error.details()} {dict(info.metadata)}"
    return f"{error.code().name}: {error.details()}"


def main() -> None:
    random = np.random.default_rng(0)
    blobs = random.normal(size=(4, 8)) * 5
    x = (blobs[random.integers(4, size=100_000)] + random.normal(size=(100_000, 8))).astype("<f4")
    with grpc.insecure_channel(sys.argv[1]) as channel:
        try:
            dataset = upload(channel, x)
            result = fit(channel, dataset, n_clusters=4).fit
            labels = predict(channel, result.model, x[:5])
            datasets_grpc.DatasetServiceStub(channel).Delete(datasets.DeleteDatasetRequest(name=dataset))
        except grpc.RpcError as error:
            sys.exit(explain(error))
    centers = np.frombuffer(result.cluster_centers.data, "<f8").reshape(result.n_clusters, result.columns)
    print(f"{result.model}: inertia {result.inertia:.6g} after {result.n_iter} rounds, sizes {list(result.sizes)}")
    print(f"center 0: {centers[0].round(3)}")
    print(f"labels of the first rows: {labels}")


if __name__ == "__main__":
    main()
