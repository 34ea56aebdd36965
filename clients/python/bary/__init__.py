"""Bary: k-means with the same answer on every device, by a server near or far.

>>> import bary
>>> import numpy as np
>>> X = np.array([[0.0], [1.0], [8.0], [9.0]])
>>> bary.KMeans(n_clusters=2, random_state=0).fit(X).inertia_
1.0
"""

from __future__ import annotations

from pkgutil import extend_path
from typing import TYPE_CHECKING

# Stubs that a user made from the .proto files are bary.v1: found beside this package, too.
__path__ = extend_path(__path__, __name__)

from bary import errors, plot
from bary._fit_batch import fit_batch
from bary._profile import profile
from bary._session import SESSION
from bary.client import BatchJob, BatchResult, Client, Dataset, Job, Placement, connect
from bary.errors import *  # noqa: F403 - bary.TooFewRowsError and its like
from bary.errors import BaryError

if TYPE_CHECKING:
    from bary.cluster import KMeans

__version__ = "0.1.0"


def __getattr__(name: str) -> type[KMeans]:
    # scikit-learn takes over a second to import, which a client without estimators need not wait.
    if name == "KMeans":
        from bary.cluster import KMeans

        return KMeans
    raise AttributeError(f"module 'bary' has no attribute '{name}'")


def set_client(client: Client | None) -> None:
    """Choose the server that estimators of this process use.

    Parameters
    ----------
    client : Client or None
        As `connect` returns it; None: ``BARY_ADDRESS`` again, else a private server.
    """
    SESSION.choose(client)


__all__ = [
    "BaryError",
    "BatchJob",
    "BatchResult",
    "Client",
    "Dataset",
    "Job",
    "KMeans",
    "Placement",
    "connect",
    "errors",
    "fit_batch",
    "plot",
    "profile",
    "set_client",
]
