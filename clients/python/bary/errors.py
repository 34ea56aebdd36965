"""Errors: one class per reason of the server's table, children of `BaryError` and of a built-in.

``except ValueError`` catches what was wrong with the input, ``except KeyError`` a name that does
not exist, ``except TimeoutError`` a deadline, ``except MemoryError`` what does not fit, ``except
ConnectionError`` a server that is not there. ``README.md`` lists all of them.
"""

from __future__ import annotations

from bary import _reasons
from bary._error import BaryError
from bary._reasons import *  # noqa: F403
from bary._reasons import __all__ as _names

__all__ = ["BaryError", "ServerError", "for_number", "for_reason"]
__all__ += _names


class ServerError(BaryError, RuntimeError):
    """An answer without a reason of ours: a proxy's, another server's, or gRPC's own.

    Its `metadata["code"]` holds the name of the gRPC code.
    """


_BY_REASON: dict[str, type[BaryError]] = {
    kind.reason: kind
    for kind in vars(_reasons).values()
    if isinstance(kind, type) and issubclass(kind, BaryError) and kind is not BaryError
}


_BY_NUMBER = {kind.number: kind for kind in _BY_REASON.values()}


def for_number(number: int) -> type[BaryError]:
    """Return the class of a reason's number; `ServerError` for one that is not known here."""
    return _BY_NUMBER.get(number, ServerError)


def for_reason(reason: str) -> type[BaryError]:
    """Return the class of a reason.

    Parameters
    ----------
    reason : str
        UPPER_SNAKE name.

    Returns
    -------
    type
        The class; `ServerError` for a reason that this version does not know.

    Examples
    --------
    >>> from bary import errors
    >>> errors.for_reason("TOO_FEW_ROWS").__name__
    'TooFewRowsError'
    >>> issubclass(errors.TooFewRowsError, ValueError)
    True
    """
    return _BY_REASON.get(reason, ServerError)
