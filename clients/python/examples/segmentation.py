"""Customers of a web shop in segments: from invoice lines to a profile, pictures and a report.

    python clients/python/examples/segmentation.py

needs ``pip install 'bary[examples]'`` and a baryd: the environment's BARY_ADDRESS names one that
runs, else a private one is started. Everything is written to out/segmentation.
"""

from __future__ import annotations

import argparse
import base64
import html
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

import bary

DATA = Path(__file__).resolve().parent / "data" / "online-retail-export.csv"
OUT = Path("out") / "segmentation"
CREDIT = (
    "Data: Chen, D. (2015). Online Retail [Dataset]. UCI Machine Learning Repository. "
    "https://doi.org/10.24432/C5BW33. CC BY 4.0. Rows outside the UK selected."
)
N_CLUSTERS = 5
RUNS = 10
RANDOM_STATE = 42
Z_MAX = 3.0
UNITS = {
    "recency": "days since the last order",
    "frequency": "orders in the year",
    "monetary": "spent (GBP)",
}


@dataclass
class Steps:
    """What each step left, as it is printed and put into the report."""

    rows: list[tuple[str, int, str]]

    def note(self, step: str, frame: pd.DataFrame, unit: str = "lines") -> pd.DataFrame:
        """Print how many rows a step left, and pass the frame on."""
        before = self.rows[-1][1] if self.rows and self.rows[-1][2] == unit else None
        change = "" if before is None else f"({len(frame) - before:+,})"
        print(f"{step:<58}{len(frame):>8,} {unit:<10}{change:>9}")
        self.rows.append((step, len(frame), unit))
        return frame


def read(path: Path) -> pd.DataFrame:
    """Invoice lines as they are."""
    return pd.read_csv(path, dtype={"InvoiceNo": str, "StockCode": str})


def within(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Rows no column of which is more than Z_MAX standard deviations off its mean."""
    values = frame[columns]
    z = (values - values.mean()) / values.std(ddof=0)
    return frame[(z.abs() <= Z_MAX).all(axis=1)]


def clean(lines: pd.DataFrame, steps: Steps) -> pd.DataFrame:
    """Only lines that say who bought how much of what, once each."""
    lines = steps.note("read", lines)
    lines = steps.note("without lines that name no customer", lines.dropna(subset=["CustomerID"]))
    cancelled = lines["InvoiceNo"].str.startswith("C") | (lines["Quantity"] <= 0)
    lines = steps.note("without returns and cancellations", lines[~cancelled])
    lines = steps.note("without gifts (price 0)", lines[lines["UnitPrice"] > 0])
    lines = lines.assign(
        CustomerID=lines["CustomerID"].astype(np.int64),
        InvoiceDate=pd.to_datetime(lines["InvoiceDate"], format="%Y-%m-%d %H:%M:%S"),
        Description=lines["Description"].str.strip(),
    )
    lines = steps.note("types: whole customer ids, times, trimmed text", lines)
    lines = steps.note("without exact repeats", lines.drop_duplicates())
    kept = within(lines, ["Quantity", "UnitPrice"])
    return steps.note(f"without outliers in quantity and price (|z| <= {Z_MAX:g})", kept)


def customers(lines: pd.DataFrame) -> pd.DataFrame:
    """Recency, frequency and monetary value of each customer, in the units of UNITS."""
    day_after = lines["InvoiceDate"].max().normalize() + pd.Timedelta(days=1)
    spent = lines.assign(spent=lines["Quantity"] * lines["UnitPrice"])
    groups = spent.groupby("CustomerID")
    return pd.DataFrame(
        {
            "recency": (day_after - groups["InvoiceDate"].max()).dt.days + 1,
            "frequency": groups["InvoiceNo"].nunique(),
            "monetary": groups["spent"].sum().round(2),
        }
    )


def features(rfm: pd.DataFrame) -> pd.DataFrame:
    """Logarithms, since all three have long tails, with mean 0 and standard deviation 1."""
    logs = np.log10(rfm)
    return (logs - logs.mean()) / logs.std(ddof=0)


def elbow(X: pd.DataFrame, most: int = 10) -> pd.Series:
    """Inertia by number of clusters."""
    inertia = {
        k: bary.KMeans(k, n_init=RUNS, random_state=RANDOM_STATE).fit(X).inertia_
        for k in range(1, most + 1)
    }
    return pd.Series(inertia, name="inertia").rename_axis("n_clusters")


def centers_in_units(kmeans: bary.KMeans, rfm: pd.DataFrame) -> np.ndarray:
    """The centers, brought back from scaled logarithms: geometric means of the clusters."""
    logs = np.log10(rfm)
    return np.asarray(
        10 ** (kmeans.cluster_centers_ * logs.std(ddof=0).to_numpy() + logs.mean().to_numpy())
    )


def draw_scatter(rfm: pd.DataFrame, kmeans: bary.KMeans, path: Path) -> None:
    """Two planes of the three features, on logarithmic axes in their own units."""
    centers = centers_in_units(kmeans, rfm)
    # Most customers ordered once or twice: equal counts are spread a little, so that all show.
    sideways = np.random.default_rng(0).uniform(0.93, 1.07, len(rfm))
    shown = rfm.assign(frequency=rfm["frequency"] * sideways)
    names = [f"{name}: {unit}" for name, unit in UNITS.items()]
    figure, axes = plt.subplots(1, 2, figsize=(13, 5.6), layout="constrained", sharey=True)
    for ax, plane in zip(axes, [(0, 2), (1, 2)], strict=True):
        bary.plot.scatter(shown, kmeans.labels_, centers, axes=plane, names=names, ax=ax)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.xaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_major_formatter("{x:,g}")
        ax.grid(True, which="major", color="#DDDDDD", linewidth=0.6, zorder=0)
    axes[0].set_title("When they last ordered, and what they spent")
    axes[1].set_title("How often they ordered, and what they spent")
    axes[1].set_ylabel("")
    axes[1].set_xlabel(f"{names[1]} (equal counts are spread a little)")
    handles, labels = axes[0].get_legend_handles_labels()
    labels = [label.replace("cluster", "segment") for label in labels]
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    figure.suptitle(
        f"{len(rfm)} customers in {kmeans.n_clusters} segments", fontsize=14, weight="bold"
    )
    figure.savefig(path, dpi=120)
    plt.close(figure)


def draw_elbow(inertia: pd.Series, path: Path) -> None:
    """Inertia by number of clusters, the chosen one marked."""
    figure, ax = plt.subplots(figsize=(7.5, 4.6), layout="constrained")
    ax.plot(inertia.index, inertia, "o-", color=bary.plot.COLORS[0], linewidth=2)
    chosen = inertia[N_CLUSTERS]
    ax.plot(
        [N_CLUSTERS], [chosen], "o", markersize=15, mfc="none", mec=bary.plot.COLORS[5], mew=2.2
    )
    ax.annotate(
        f"chosen: k = {N_CLUSTERS}, {1 - chosen / inertia[1]:.0%} of the\nvariation explained",
        (N_CLUSTERS, chosen),
        xytext=(22, 36),
        textcoords="offset points",
        arrowprops={"arrowstyle": "-", "color": "#555555"},
    )
    ax.set_xticks(list(inertia.index))
    ax.set_ylim(bottom=0)
    ax.grid(True, axis="y", color="#DDDDDD", linewidth=0.6)
    ax.set_xlabel("number of clusters k")
    ax.set_ylabel("inertia (squared standard deviations)")
    ax.set_title("What one more segment explains", weight="bold")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def sentences(table: pd.DataFrame) -> list[str]:
    """Each segment in words, by its medians, the one that spends most first."""
    ordered = table.sort_values(("monetary", "median"), ascending=False)
    return [
        f"Segment {cluster}: {row['rows', 'count']:.0f} customers ({row['rows', 'share']:.0%}), "
        f"last order {row['recency', 'median']:.0f} days ago, "
        f"{row['frequency', 'median']:.0f} order{'s' if row['frequency', 'median'] > 1 else ''}, "
        f"{row['monetary', 'median']:,.0f} GBP in the year (medians)"
        for cluster, row in ordered.iterrows()
    ]


def picture(path: Path, text: str) -> str:
    """A picture inside the page itself."""
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{html.escape(text)}" src="data:image/png;base64,{data}">'


STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto;
       padding: 0 1rem; color: #222 }
img { max-width: 100% } table { border-collapse: collapse; margin: 1rem 0 }
td, th { padding: .3rem .8rem; border-bottom: 1px solid #ddd; text-align: right }
td:first-child, th:first-child { text-align: left } footer { color: #666; font-size: .85rem }
"""


def write_report(out: Path, steps: Steps, table: pd.DataFrame, kmeans: bary.KMeans) -> None:
    """One page that needs no other file."""
    rows = "".join(
        f"<tr><td>{html.escape(step)}</td><td>{count:,}</td><td>{unit}</td></tr>"
        for step, count, unit in steps.rows
    )
    segments = "".join(f"<li>{html.escape(line)}</li>" for line in sentences(table))
    page = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Customer segments</title><style>{STYLE}</style>
<h1>Customer segments</h1>
<p>k-means over recency, frequency and monetary value (logarithms, scaled), k = {N_CLUSTERS},
seed {RANDOM_STATE}: {kmeans.n_iter_} rounds, inertia {kmeans.inertia_:.4f}, computed on
{html.escape(kmeans.report_.device or kmeans.report_.backend)}.</p>
<ul>{segments}</ul>
{picture(out / "scatter.png", "Customers by recency, frequency, spending; colored by segment")}
<h2>Profile</h2>
<p>Units: recency in days, frequency in orders, monetary in GBP.</p>
{table.to_html(float_format="{:,.2f}".format, border=0)}
<h2>How many segments</h2>
{picture(out / "elbow.png", "Inertia by number of clusters")}
<h2>From lines to customers</h2>
<table><tr><th>step</th><th>left</th><th></th></tr>{rows}</table>
<footer>{html.escape(CREDIT)}</footer></html>
"""
    (out / "report.html").write_text(page, encoding="utf-8")


def main() -> None:
    """Read, clean, cluster, draw, report."""
    parser = argparse.ArgumentParser(description="Segments of a web shop's customers.")
    parser.add_argument("--data", type=Path, default=DATA, help="invoice lines as CSV")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for pictures and report")
    arguments = parser.parse_args()
    matplotlib.use("agg")
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)

    steps = Steps([])
    rfm = customers(clean(read(arguments.data), steps))
    steps.note("recency, frequency and monetary value by customer", rfm, "customers")
    X = features(rfm)
    steps.note("logarithms, scaled to mean 0 and deviation 1", X, "customers")
    kmeans = bary.KMeans(n_clusters=N_CLUSTERS, n_init=RUNS, random_state=RANDOM_STATE).fit(X)
    print(
        f"k-means: {kmeans.n_iter_} rounds, inertia {kmeans.inertia_:.4f}, "
        f"ended by {kmeans.stop_reason_}"
    )

    table = bary.profile(rfm, kmeans.labels_)
    table.to_csv(out / "profile.csv", float_format="%.4f")
    rfm.assign(cluster=kmeans.labels_).to_csv(out / "labels.csv")
    draw_scatter(rfm, kmeans, out / "scatter.png")
    draw_elbow(elbow(X), out / "elbow.png")
    write_report(out, steps, table, kmeans)

    print("\n" + table.to_string(float_format="{:,.2f}".format) + "\n")
    print("\n".join(sentences(table)))
    print(f"\nPictures, tables and report are in {out}: open {out / 'report.html'}")


if __name__ == "__main__":
    main()
