"""Datasets of a server."""

from __future__ import annotations

import contextlib
import logging
from types import TracebackType
from typing import TYPE_CHECKING

import numpy.typing as npt

from bary import _methods as methods
from bary import errors
from bary._descriptions import DatasetInfo
from bary._pages import pages
from bary._proto import dataset_service_pb2 as dataset
from bary._requests import WEIGHT_COLUMN, create_request
from bary._upload import upload
from bary._wire import Block, as_block, as_weights

if TYPE_CHECKING:
    from bary.client import Client

log = logging.getLogger("bary")


class Dataset:
    """A sealed dataset on the server; as a context manager it is deleted at the end.

    Attributes
    ----------
    name : str
        "namespaces/default/datasets/...".
    info : DatasetInfo
        Its description when this handle was made.
    """

    def __init__(self, datasets: Datasets, info: DatasetInfo) -> None:
        self._datasets = datasets
        self.name = info.name
        self.info = info

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, rows={self.info.rows})"

    def delete(self) -> None:
        """Hide it at once; its memory goes when the last job lets go of it."""
        self._datasets.delete(self.name)

    def __enter__(self) -> Dataset:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(errors.DatasetNotFoundError, errors.UnreachableError):
            self.delete()


class Datasets:
    """Datasets of the server: `client.datasets`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def upload(
        self,
        X: npt.ArrayLike,
        name: str = "",
        *,
        sample_weight: npt.ArrayLike | None = None,
        ttl: float | None = None,
    ) -> Dataset:
        """Create a dataset, send its rows over four streams, and seal it.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features), or a pandas, polars or Arrow table
            Numbers. An array becomes one vector column "x"; a table keeps its columns. Row-major
            arrays are copied once, into the messages; column-major ones go chunk by chunk.
        name : str, default ""
            ``[a-z0-9][a-z0-9._-]{0,62}``; "": the server makes one.
        sample_weight : array-like of shape (n_rows,), optional
            Sent as one more column, "sample_weight", which a fit can name.
        ttl : float, optional
            Idle seconds after which it goes; default: the server's limit `dataset_ttl_s`.

        Returns
        -------
        Dataset
            Sealed.

        Raises
        ------
        bary.errors.NameTakenError
            A dataset of this name exists.
        bary.errors.MemoryPressureError, bary.errors.ExceedsCapacityError
            The server has no room for it now, or ever.
        bary.errors.ShapeMismatchError
            Not two-dimensional.
        """
        block = as_block(X)
        if sample_weight is not None:
            block, _ = block.with_column(WEIGHT_COLUMN, as_weights(sample_weight, block.rows))
        return self._upload(block, name, ttl)

    def _upload(self, block: Block, name: str = "", ttl: float | None = None) -> Dataset:
        created = self._create(block, name, ttl)
        try:
            upload(self._client._channel, created.upload_id, block)
            sealed = self._commit(created.upload_id)
        except BaseException:
            with contextlib.suppress(errors.BaryError):
                self.delete(created.name)
            raise
        log.debug("uploaded %d bytes as %s", block.bytes, created.name)
        return Dataset(self, DatasetInfo.of(sealed))

    def _create(self, block: Block, name: str, ttl: float | None) -> dataset.Dataset:
        return self._client._unary(methods.DATASET_CREATE, create_request(block, name, ttl))

    def _commit(self, upload_id: str) -> dataset.Dataset:
        """Seal; past a call's deadline sealing goes on, so it is asked again."""
        request = dataset.CommitDatasetRequest(upload_id=upload_id)
        while True:
            try:
                return self._client._unary(methods.DATASET_COMMIT, request)
            except errors.DeadlineError:
                log.debug("upload %s is still being sealed", upload_id)

    def get(self, name: str) -> Dataset:
        """Return the dataset of a name; `bary.errors.DatasetNotFoundError` if there is none."""
        answer = self._client._unary(methods.DATASET_GET, dataset.GetDatasetRequest(name=name))
        return Dataset(self, DatasetInfo.of(answer))

    def list(self) -> list[DatasetInfo]:
        """Return all datasets."""

        def fetch(token: str) -> tuple[list[DatasetInfo], str]:
            request = dataset.ListDatasetsRequest(page_token=token)
            answer = self._client._unary(methods.DATASET_LIST, request)
            return [DatasetInfo.of(d) for d in answer.datasets], answer.next_page_token

        return list(pages(fetch))

    def delete(self, name: str) -> None:
        """Hide a dataset at once; its memory goes when the last job lets go of it."""
        self._client._unary(methods.DATASET_DELETE, dataset.DeleteDatasetRequest(name=name))
