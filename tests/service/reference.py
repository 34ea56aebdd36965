"""k-means in a few lines of numpy: what the server's answers are held against."""

from __future__ import annotations

import numpy as np


def blobs(rows: int, columns: int, clusters: int, seed: int = 0, dtype: str = "float64") -> np.ndarray:
    """Well separated heaps: no label hangs on a rounding."""
    random = np.random.default_rng(seed)
    centers = random.permutation(clusters * columns).reshape(clusters, columns) * 10.0
    return (centers[np.arange(rows) % clusters] + random.normal(size=(rows, columns))).astype(dtype)


def distances(X: np.ndarray, centers: np.ndarray) -> np.ndarray:
    return np.sqrt(((X[:, None, :].astype(np.float64) - centers[None]) ** 2).sum(axis=2))


def labels_of(X: np.ndarray, centers: np.ndarray) -> np.ndarray:
    return distances(X, centers).argmin(axis=1).astype(np.int32)


def means(X: np.ndarray, labels: np.ndarray, clusters: int, weight: np.ndarray) -> np.ndarray:
    return np.array([np.average(X[labels == j].astype(np.float64), axis=0, weights=weight[labels == j]) for j in range(clusters)])


def inertia_of(X: np.ndarray, centers: np.ndarray, labels: np.ndarray, weight: np.ndarray | None = None) -> float:
    terms = ((X.astype(np.float64) - centers[labels]) ** 2).sum(axis=1)
    return float((terms if weight is None else terms * weight).sum())


def lloyd(
    X: np.ndarray, centers: np.ndarray, max_iter: int = 300, tol: float = 1e-4, weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, float, int]:
    """Centers, labels, inertia, n_iter; stops as scikit-learn does."""
    weight = np.ones(len(X)) if weight is None else weight
    bound = tol * X.astype(np.float64).var(axis=0).mean()
    before, n_iter = None, 0
    for n_iter in range(1, max_iter + 1):
        labels = labels_of(X, centers)
        moved = means(X, labels, len(centers), weight)
        shift = ((moved - centers) ** 2).sum()
        centers = moved
        if before is not None and (labels == before).all():
            break
        before = labels
        if shift <= bound:
            break
    labels = labels_of(X, centers)
    return centers, labels, inertia_of(X, centers, labels, weight), n_iter
