"""The same fits through Bary in process, Bary over gRPC and scikit-learn: ratios, one machine, one run.

Each shape is fitted from the same given centers for exactly the same number of rounds. The three
take turns within each repeat, so what else the machine does falls on all of them alike; the figures
are medians and the ratios are of medians. The time is that of the fit alone: the data are in memory
(in process, scikit-learn) or uploaded before (gRPC). Uploads are shown beside it.

    python perf/fit.py --bin build/release --out perf/results/fit.json
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FASHION = Path("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz")


@dataclass(frozen=True)
class Shape:
    """A data set and what is asked of it."""

    name: str
    make: Callable[[np.random.Generator], np.ndarray]
    n_clusters: int
    rounds: int


def pixels(_: np.random.Generator) -> np.ndarray:
    from sklearn.datasets import load_sample_image

    return load_sample_image("china.jpg").reshape(-1, 3).astype(np.float32)


def blobs(random: np.random.Generator) -> np.ndarray:
    centers = random.uniform(-10, 10, (64, 16))
    X = centers[random.integers(64, size=1_000_000)] + random.normal(size=(1_000_000, 16))
    return X.astype(np.float32)


def normal(random: np.random.Generator) -> np.ndarray:
    return random.normal(size=(200_000, 64)).astype(np.float32)


def pictures(random: np.random.Generator) -> np.ndarray:
    """Fashion-MNIST where Debian's package has it; else 60,000 noisy rows of rank 20."""
    if FASHION.exists():
        raw = np.frombuffer(gzip.decompress(FASHION.read_bytes()), np.uint8, offset=16)
        return raw.reshape(-1, 784).astype(np.float32)
    low = random.normal(size=(60_000, 20)) @ random.normal(size=(20, 784))
    return (low + random.normal(size=low.shape)).astype(np.float32)


SHAPES = (
    Shape("pixels 273,280 x 3, k = 64", pixels, 64, 100),
    Shape("blobs 1,000,000 x 16, k = 16", blobs, 16, 25),
    Shape("normal 200,000 x 64, k = 256", normal, 256, 6),
    Shape("pictures 60,000 x 784, k = 100", pictures, 100, 3),
)


class InProcess:
    """The engine in a process of its own: one fit a line."""

    def __init__(self, program: Path, x: Path, centers: Path, rounds: int, threads: int) -> None:
        command = [program, x, centers, str(rounds), str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def fit(self) -> tuple[float, float]:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer["ns"] / 1e9, answer["inertia"]

    def close(self) -> None:
        self.process.communicate()


def fit_grpc(client: Any, data: Any, shape: Shape, centers: np.ndarray) -> tuple[float, float]:
    begun = time.perf_counter()
    job = client.fit(
        data,
        shape.n_clusters,
        init=centers,
        max_iter=shape.rounds,
        fixed_rounds=True,
        labels=False,
        wait=60,
    )
    result = job.result()
    return time.perf_counter() - begun, result.inertia


def fit_sklearn(X: np.ndarray, shape: Shape, centers: np.ndarray) -> tuple[float, float, int]:
    from sklearn.cluster import KMeans

    model = KMeans(shape.n_clusters, init=centers, n_init=1, max_iter=shape.rounds, tol=0)
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X)
    return time.perf_counter() - begun, float(model.inertia_), int(model.n_iter_)


def measure(shape: Shape, client: Any, program: Path, threads: int, repeats: int) -> dict[str, Any]:
    random = np.random.default_rng(7)
    X = np.ascontiguousarray(shape.make(random))
    centers = X[random.choice(len(X), shape.n_clusters, replace=False)].copy()
    times: dict[str, list[float]] = {"in_process": [], "grpc": [], "sklearn": []}
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "x.npy", X)
        np.save(Path(folder) / "c.npy", centers)
        local = InProcess(program, Path(folder) / "x.npy", Path(folder) / "c.npy", shape.rounds, threads)
        begun = time.perf_counter()
        data = client.datasets.upload(X)
        upload = time.perf_counter() - begun
        local.fit()  # the first one pays for the page faults of all
        turns: dict[str, Callable[[], tuple[float, ...]]] = {
            "in_process": local.fit,
            "grpc": lambda: fit_grpc(client, data, shape, centers),
            "sklearn": lambda: fit_sklearn(X, shape, centers),
        }
        for repeat in range(repeats):
            order = list(turns)[repeat % 3 :] + list(turns)[: repeat % 3]
            answers = {name: turns[name]() for name in order}
            for name, answer in answers.items():
                times[name].append(answer[0])
            assert answers["in_process"][1] == answers["grpc"][1], "the wire changed the answer"
        inertia, (_, inertia_sklearn, n_iter) = answers["grpc"][1], answers["sklearn"]
        local.close()
        data.delete()
    middle = {name: statistics.median(all_) for name, all_ in times.items()}
    return {
        "shape": shape.name,
        "rounds": shape.rounds,
        "sklearn_rounds": n_iter,
        "seconds": {name: [round(value, 4) for value in all_] for name, all_ in times.items()},
        "median_seconds": {name: round(value, 4) for name, value in middle.items()},
        "sklearn_over_in_process": round(middle["sklearn"] / n_iter * shape.rounds / middle["in_process"], 3),
        "grpc_over_in_process": round(middle["grpc"] / middle["in_process"], 4),
        "upload_seconds": round(upload, 3),
        "upload_mb_per_second": round(X.nbytes / 1e6 / upload, 1),
        "inertia_relative_difference": abs(inertia - inertia_sklearn) / inertia,
    }


def machine(client: Any, threads: int) -> dict[str, Any]:
    import sklearn

    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")),
        platform.machine(),
    )
    device = client.server().devices[0]
    return {
        "cpu": model,
        "threads": threads,
        "isa": device.isa,
        "load_average_at_the_end": os.getloadavg()[0],
        "system": platform.platform(),
        "numpy": np.__version__,
        "sklearn": sklearn.__version__,
    }


def table(results: dict[str, Any]) -> str:
    where = results["machine"]
    lines = [
        f"`perf/fit.py` on {where['cpu']}, {where['threads']} threads, {where['isa']}; "
        f"scikit-learn {where['sklearn']}; medians of {results['repeats']}.",
        "",
        "| shape (float32) | rounds | in process | over gRPC | gRPC / in process | scikit-learn | scikit-learn / Bary, a round |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        middle = row["median_seconds"]
        lines.append(
            f"| {row['shape']} | {row['rounds']} | {middle['in_process']:.3f} s | {middle['grpc']:.3f} s "
            f"| {row['grpc_over_in_process']:.3f} | {middle['sklearn']:.3f} s | {row['sklearn_over_in_process']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def plot(results: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = results["rows"]
    figure, axes = pyplot.subplots(figsize=(9, 4.2), layout="constrained")
    names = (
        ("in_process", "Bary in process", "#0072B2"),
        ("grpc", "Bary over gRPC", "#56B4E9"),
        ("sklearn", "scikit-learn", "#E69F00"),
    )
    for place, (key, label, color) in enumerate(names):
        per_round = [1e3 * row["median_seconds"][key] / (row["sklearn_rounds"] if key == "sklearn" else row["rounds"]) for row in rows]
        y = np.arange(len(rows)) + (place - 1) * 0.27
        bars = axes.barh(y, per_round, 0.25, label=label, color=color)
        axes.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
    axes.set_yticks(np.arange(len(rows)), [row["shape"] for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds a round (median; shorter is better)")
    axes.set_title(f"k-means from the same centers: {results['machine']['cpu']}, 2 threads")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=Path, default=Path("build/release"), help="build folder")
    parser.add_argument("--out", type=Path, default=Path("perf/results/fit.json"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="", help="shapes whose name contains this")
    asked = parser.parse_args()
    threads = len(os.sched_getaffinity(0))

    import bary

    program = asked.bin / "perf/perf_fit"
    if not program.exists():
        parser.error(f"{program} is not built: ninja -C {asked.bin} perf_fit")
    with bary.connect() as client:
        rows = []
        for shape in SHAPES:
            if asked.only in shape.name:
                print(f"{shape.name} ...", flush=True)
                rows.append(measure(shape, client, program, threads, asked.repeats))
                print(json.dumps(rows[-1]["median_seconds"]), flush=True)
        results = {"machine": machine(client, threads), "repeats": asked.repeats, "rows": rows}
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(results, indent=1) + "\n")
    asked.out.with_suffix(".md").write_text(table(results))
    plot(results, asked.out.with_suffix(".png"))
    print(table(results))


if __name__ == "__main__":
    main()
