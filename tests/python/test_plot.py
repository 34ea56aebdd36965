"""Profiles and pictures, without a server."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from matplotlib import pyplot as plt

import bary

FRAME = pd.DataFrame({"a": [1.0, 2.0, 6.0, 10.0], "b": [1, 1, 1, 9], "town": list("wxyz")})


def test_a_profile_counts_and_describes_each_cluster() -> None:
    table = bary.profile(FRAME, np.array([0, 0, 0, 1]))
    assert table["rows", "count"].tolist() == [3, 1]
    assert table["rows", "share"].tolist() == [0.75, 0.25]
    assert table["a", "mean"].tolist() == [3.0, 10.0]
    assert table["a", "median"].tolist() == [2.0, 10.0]
    assert ("town", "mean") not in table.columns
    assert table.index.name == "cluster"


def test_a_profile_takes_columns_statistics_and_polars() -> None:
    frame = pl.DataFrame({"a": [1.0, 3.0], "b": [5.0, 6.0]})
    table = bary.profile(frame, [1, 1], statistics=["max"], columns=["a"])
    assert table.columns.tolist() == [("rows", "count"), ("rows", "share"), ("a", "max")]
    assert table.loc[1, ("a", "max")] == 3.0


def test_a_profile_shows_skipped_rows_as_their_own_cluster() -> None:
    assert bary.profile(FRAME, [-1, 0, 0, 0]).index.tolist() == [-1, 0]


def test_a_profile_refuses_labels_of_another_length() -> None:
    with pytest.raises(ValueError, match="labels has 2 values; frame has 4 rows"):
        bary.profile(FRAME, [0, 1])


def test_a_scatter_names_axes_and_clusters() -> None:
    ax = bary.plot.scatter(FRAME[["a", "b"]], [0, 0, 1, -1], centers=[[1, 1], [2, 2]])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("a", "b")
    labels = ax.get_legend_handles_labels()[1]
    assert labels == ["skipped (n=1)", "cluster 0 (n=2)", "cluster 1 (n=1)", "center"]
    plt.close(ax.figure)


def test_a_scatter_draws_the_asked_plane_where_asked() -> None:
    figure, mine = plt.subplots()
    X = np.arange(12.0).reshape(4, 3)
    ax = bary.plot.scatter(X, [0] * 4, axes=(2, 1), names=["x", "y", "z (m)"], ax=mine)
    assert ax is mine
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("z (m)", "y")
    assert np.array_equal(ax.collections[0].get_offsets(), X[:, [2, 1]])
    plt.close(figure)


def test_more_clusters_than_colors_differ_by_marker() -> None:
    clusters = len(bary.plot.COLORS) * 2
    looks = {
        (bary.plot.COLORS[c % len(bary.plot.COLORS)], bary.plot.MARKERS[c % len(bary.plot.MARKERS)])
        for c in range(clusters)
    }
    assert len(looks) == clusters


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0, 1]], [0, 1]), "labels has shape"),
        (([[0, 1]], [0], None, (0, 2)), "axes is"),
    ],
)
def test_a_scatter_refuses_what_does_not_fit(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bary.plot.scatter(*arguments)
