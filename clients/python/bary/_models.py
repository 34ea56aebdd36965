"""Models that a server keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bary import _methods as methods
from bary._descriptions import ModelInfo
from bary._pages import pages
from bary._proto import model_service_pb2 as model

if TYPE_CHECKING:
    from bary.client import Client


class Models:
    """Models that the server keeps: `client.models`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def get(self, name: str) -> ModelInfo:
        """Return a model: "m" is its newest version, "m/versions/3" that one."""
        return ModelInfo.of(
            self._client._unary(methods.MODEL_GET, model.GetModelRequest(name=name))
        )

    def list(self) -> list[ModelInfo]:
        """Return all models, without their centers."""

        def fetch(token: str) -> tuple[list[ModelInfo], str]:
            request = model.ListModelsRequest(page_token=token)
            answer = self._client._unary(methods.MODEL_LIST, request)
            return [ModelInfo.of(m) for m in answer.models], answer.next_page_token

        return list(pages(fetch))

    def delete(self, name: str) -> None:
        """Delete a version, or with no version all of them."""
        self._client._unary(methods.MODEL_DELETE, model.DeleteModelRequest(name=name))
