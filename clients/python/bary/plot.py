"""Pictures of clusters. Needs the extra ``plot`` (matplotlib), imported when it is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe, M. and Ito, K. (2008), "Color Universal Design": told apart with any kind of color vision.
# Black is left for the centers.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
_SKIPPED = "#BBBBBB"


def scatter(
    X: npt.ArrayLike,
    labels: npt.ArrayLike,
    centers: npt.ArrayLike | None = None,
    axes: tuple[int, int] = (0, 1),
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw rows in the plane of two columns, one color and marker per cluster.

    Parameters
    ----------
    X : array-like of shape (n_rows, n_features)
        The rows; a table gives its column names to the axes.
    labels : array-like of int, shape (n_rows,)
        Cluster of each row; -1, a skipped row, is gray.
    centers : array-like of shape (n_clusters, n_features), optional
        Drawn as black crosses with the cluster's number.
    axes : tuple of int, default (0, 1)
        Columns to draw, from 0: across and up.
    names : sequence of str, optional
        Names of all columns, with their units, for the axes.
    ax : matplotlib Axes, optional
        Where to draw; default: a new figure's.

    Returns
    -------
    matplotlib Axes
        What was drawn on; ``ax.figure.savefig`` keeps it.

    Raises
    ------
    ValueError
        Another number of labels than rows, or an axis that is no column.
    ImportError
        matplotlib is missing: ``pip install 'bary[plot]'``.

    Notes
    -----
    The colors are those of Okabe and Ito [1]_; from the eighth cluster on they repeat with other
    markers.

    References
    ----------
    .. [1] Okabe, M. and Ito, K. (2008). Color Universal Design: how to make figures and
       presentations that are friendly to colorblind people. https://jfly.uni-koeln.de/color/

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> import bary
    >>> drawn = bary.plot.scatter([[0, 1], [2, 3]], [0, 1], names=["width (cm)", "height (cm)"])
    >>> drawn.get_xlabel()
    'width (cm)'
    """
    points = np.asarray(X, dtype=np.float64)
    marks = np.asarray(labels)
    across, up = axes
    if marks.shape != points.shape[:1]:
        raise ValueError(f"labels has shape {marks.shape}; X has {len(points)} rows")
    if not all(-points.shape[1] <= axis < points.shape[1] for axis in axes):
        raise ValueError(f"axes is {axes}; X has {points.shape[1]} columns")
    if names is None:
        names = [str(name) for name in getattr(X, "columns", range(points.shape[1]))]
    if ax is None:
        ax = _new_axes()
    for cluster, count in zip(*np.unique(marks, return_counts=True), strict=True):
        _draw_cluster(ax, points[marks == cluster][:, [across, up]], int(cluster), int(count))
    if centers is not None:
        _draw_centers(ax, np.asarray(centers, dtype=np.float64)[:, [across, up]])
    ax.set_xlabel(names[across])
    ax.set_ylabel(names[up])
    return ax


def _new_axes() -> Axes:
    from matplotlib import pyplot as plt

    _, made = plt.subplots(figsize=(7, 5), layout="constrained")
    return cast("Axes", made)


def _draw_cluster(ax: Axes, points: npt.NDArray[np.float64], cluster: int, count: int) -> None:
    skipped = cluster < 0
    ax.scatter(
        points[:, 0],
        points[:, 1],
        s=28,
        c=_SKIPPED if skipped else COLORS[cluster % len(COLORS)],
        marker="." if skipped else MARKERS[cluster % len(MARKERS)],
        edgecolors="white",
        linewidths=0.5,
        alpha=0.9,
        label=f"skipped (n={count})" if skipped else f"cluster {cluster} (n={count})",
        zorder=2,
    )


def _draw_centers(ax: Axes, centers: npt.NDArray[np.float64]) -> None:
    ax.scatter(
        centers[:, 0],
        centers[:, 1],
        s=90,
        c="black",
        marker="X",
        edgecolors="white",
        linewidths=1.2,
        label="center",
        zorder=3,
    )
    for cluster, (x, y) in enumerate(centers):
        ax.annotate(
            str(cluster),
            (x, y),
            xytext=(7, 6),
            textcoords="offset points",
            fontsize=10,
            fontweight="bold",
            bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.75},
            zorder=4,
        )
