"""What the clusters are like, in the units that a reader knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd


def profile(
    frame: pd.DataFrame,
    labels: npt.ArrayLike,
    *,
    statistics: Sequence[Literal["mean", "median", "min", "max", "std"]] = ("mean", "median"),
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Describe each cluster: how many rows, what share of all, and statistics per column.

    Parameters
    ----------
    frame : pandas.DataFrame of shape (n_rows, n_columns)
        The rows as they were before scaling, so that the numbers have their own units. A polars or
        Arrow table is converted.
    labels : array-like of int, shape (n_rows,)
        Cluster of each row; -1, a skipped row, is shown as a cluster of its own.
    statistics : sequence of str, default ("mean", "median")
        Out of "mean", "median", "min", "max" and "std" (with ddof=1). Missing values do not count.
    columns : sequence of str, optional
        Default: all numeric ones.

    Returns
    -------
    pandas.DataFrame
        One row per cluster, in order; columns ("rows", "count"), ("rows", "share") and then
        (column, statistic).

    Raises
    ------
    ValueError
        `labels` has another length than `frame`.

    Examples
    --------
    >>> import pandas as pd
    >>> import bary
    >>> spent = pd.DataFrame({"spent": [1.0, 3.0, 50.0]})
    >>> bary.profile(spent, [0, 0, 1], statistics=["mean"])
             rows           spent
            count     share  mean
    cluster
    0           2  0.666667   2.0
    1           1  0.333333  50.0
    """
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        frame = frame.to_pandas()
    index = pd.Index(np.asarray(labels), name="cluster")
    if len(index) != len(frame):
        raise ValueError(f"labels has {len(index)} values; frame has {len(frame)} rows")
    chosen = frame[list(columns)] if columns is not None else frame.select_dtypes("number")
    groups = chosen.set_axis(index, axis=0).groupby(level="cluster", sort=True)
    count = groups.size()
    rows = pd.DataFrame({("rows", "count"): count, ("rows", "share"): count / len(frame)})
    if chosen.shape[1] == 0:
        return rows
    return rows.join(groups.agg(list(statistics)))
