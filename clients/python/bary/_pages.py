"""Lists that come in pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

_Item = TypeVar("_Item")


def pages(fetch: Callable[[str], tuple[list[_Item], str]]) -> Iterator[_Item]:
    """Yield the items of every page that `fetch` gives for a token, beginning with ""."""
    token = ""
    while True:
        items, token = fetch(token)
        yield from items
        if not token:
            return
