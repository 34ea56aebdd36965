"""Every method of the service, one row each: what a client goes by, blocking or not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from google.protobuf.message import Message

from bary._proto import clustering_service_pb2 as clustering
from bary._proto import dataset_service_pb2 as dataset
from bary._proto import job_service_pb2 as job
from bary._proto import model_service_pb2 as model
from bary._proto import server_service_pb2 as server
from bary._proto import types_pb2 as types

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


class Repeat(Enum):
    """Whether a call may be sent again after the server refused it for now."""

    ALWAYS = "sending it twice does no more than once"
    KEYED = "so it does when it carries a request id"
    NEVER = "a second one may be answered otherwise than the first"


@dataclass(frozen=True)
class Method(Generic[Request, Response]):
    """Path and types of a method that answers once; with `repeat`, a unary one."""

    path: str
    request: type[Request]
    response: type[Response]
    repeat: Repeat = Repeat.NEVER


SERVER_GET = Method(
    "/bary.v1.ServerService/GetServer", server.GetServerRequest, server.Server, Repeat.ALWAYS
)
DATASET_CREATE = Method(
    "/bary.v1.DatasetService/Create", dataset.CreateDatasetRequest, dataset.Dataset, Repeat.KEYED
)
DATASET_COMMIT = Method(
    "/bary.v1.DatasetService/Commit", dataset.CommitDatasetRequest, dataset.Dataset, Repeat.ALWAYS
)
DATASET_GET = Method(
    "/bary.v1.DatasetService/Get", dataset.GetDatasetRequest, dataset.Dataset, Repeat.ALWAYS
)
DATASET_LIST = Method(
    "/bary.v1.DatasetService/List",
    dataset.ListDatasetsRequest,
    dataset.ListDatasetsResponse,
    Repeat.ALWAYS,
)
DATASET_DELETE = Method(
    "/bary.v1.DatasetService/Delete", dataset.DeleteDatasetRequest, dataset.DeleteDatasetResponse
)
FIT = Method("/bary.v1.ClusteringService/Fit", clustering.FitRequest, types.Job, Repeat.KEYED)
FIT_BATCH = Method(
    "/bary.v1.ClusteringService/FitBatch",
    clustering.FitBatchRequest,
    types.Job,
    Repeat.KEYED,
)
PREDICT = Method(
    "/bary.v1.ClusteringService/Predict",
    clustering.PredictRequest,
    clustering.PredictResponse,
    Repeat.ALWAYS,
)
EVALUATE = Method(
    "/bary.v1.ClusteringService/Evaluate",
    clustering.EvaluateRequest,
    clustering.EvaluateResponse,
    Repeat.KEYED,
)
MODEL_GET = Method("/bary.v1.ModelService/Get", model.GetModelRequest, model.Model, Repeat.ALWAYS)
MODEL_LIST = Method(
    "/bary.v1.ModelService/List", model.ListModelsRequest, model.ListModelsResponse, Repeat.ALWAYS
)
MODEL_DELETE = Method(
    "/bary.v1.ModelService/Delete", model.DeleteModelRequest, model.DeleteModelResponse
)
JOB_GET = Method("/bary.v1.JobService/Get", job.GetJobRequest, types.Job, Repeat.ALWAYS)
JOB_LIST = Method(
    "/bary.v1.JobService/List", job.ListJobsRequest, job.ListJobsResponse, Repeat.ALWAYS
)
JOB_CANCEL = Method(
    "/bary.v1.JobService/Cancel", job.CancelJobRequest, job.CancelJobResponse, Repeat.ALWAYS
)
JOB_WAIT = Method("/bary.v1.JobService/Wait", job.WaitJobRequest, types.Job, Repeat.ALWAYS)

# Streams.
UPLOAD = Method("/bary.v1.DatasetService/Upload", dataset.UploadRequest, dataset.UploadResponse)
PREDICT_STREAM = Method(
    "/bary.v1.ClusteringService/PredictStream",
    clustering.PredictRequest,
    clustering.PredictResponse,
)
JOB_WATCH = Method("/bary.v1.JobService/Watch", job.WatchJobRequest, types.Job)
JOB_READ = Method("/bary.v1.JobService/Read", job.ReadJobRequest, job.ReadJobResponse)
