"""The root of all errors that Bary reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class BaryError(Exception):
    """An error with a reason; the root of every class in `bary.errors`.

    Parameters
    ----------
    message : str
        One sentence that names the thing, what was found and the limit.
    metadata : mapping of str to str, optional
        Every value of the sentence by its name, such as ``{"rows": "2", "n_clusters": "3"}``.
    retry_after : float, optional
        Seconds after which the same call may succeed; None when it will not.

    Attributes
    ----------
    reason : str
        UPPER_SNAKE name, the same on the wire, in C and in the command line tool. "" when the
        error did not come from a Bary server.
    code : str
        Name of the gRPC code, such as ``"INVALID_ARGUMENT"``.
    number : int
        The reason's number; never reused.
    retryable : bool
        Whether the same call may succeed later.
    metadata : dict of str to str
        As given.
    retry_after : float or None
        As given, in seconds.
    """

    reason: ClassVar[str] = ""
    code: ClassVar[str] = "UNKNOWN"
    number: ClassVar[int] = 0
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.metadata: dict[str, str] = dict(metadata or {})
        self.retry_after = retry_after

    def __str__(self) -> str:
        # Said here because KeyError and OSError, bases of some reasons, would quote or number it.
        return self.message

    def __reduce__(self) -> tuple[type[BaryError], tuple[str, dict[str, str], float | None]]:
        return type(self), (self.message, self.metadata, self.retry_after)
