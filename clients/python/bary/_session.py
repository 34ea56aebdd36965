"""Which server is meant: the named one, BARY_ADDRESS, or one private server per process tree."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from bary._private import ADDRESS_VARIABLE, PrivateServer

if TYPE_CHECKING:
    from bary.client import Client

CONNECT_SECONDS = 20.0


class Session:
    """What one process knows of servers. There is one object of it, `SESSION`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._private: PrivateServer | None = None
        self._default: Client | None = None
        self._chosen: Client | None = None
        os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        # Another thread of the parent may have held the lock at the fork. The private server is
        # the parent's; this process goes by BARY_ADDRESS, which it inherited.
        self._lock = threading.Lock()
        self._private = None

    def address(self, timeout: float) -> str:
        """BARY_ADDRESS, else the private server's address; starts that when there is none."""
        with self._lock:
            private = self._private
            if private is not None and not private.alive:
                private.stop()
                self._private = private = None
            named = os.environ.get(ADDRESS_VARIABLE)
            if named:
                return named
            if private is None:
                self._private = private = PrivateServer(timeout)
                os.environ[ADDRESS_VARIABLE] = private.address
            return private.address

    def choose(self, client: Client | None) -> None:
        """Make `client` what estimators use; None: back to the default."""
        self._chosen = client

    def client(self) -> Client:
        """The client that estimators use."""
        from bary.client import connect

        if self._chosen is not None:
            return self._chosen
        address = self.address(CONNECT_SECONDS)
        found = self._default
        if found is None or found.address != address:
            self._default = found = connect(address)
        return found


SESSION = Session()
