"""Many small k-means problems through Bary in process, Bary over gRPC and scikit-learn: fits a second.

Every problem is fitted with the defaults: greedy k-means++, one run, tol 1e-4, at most 300 rounds. The
peers take turns within each repeat; the figures are medians. In process a batch is one call of the
engine: on one thread by its CPU time, which other programs disturb least, and on all by the clock. Over
gRPC it is one FitBatch, rows in the call, by the Python client against its private server, from the call
to numpy arrays. scikit-learn fits the first problems one after the other on one thread (its KMeans has no
batches), by its CPU time, too.

    python perf/fits.py --bin build/release --out perf/results/fits.json
"""

from __future__ import annotations

import argparse
import json
import os
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
from fit import machine


@dataclass(frozen=True)
class Shape:
    """Equally large problems, as many as fit 3 MiB."""

    rows: int
    columns: int
    n_clusters: int
    dtype: str

    @property
    def name(self) -> str:
        return f"{self.rows} x {self.columns}, K = {self.n_clusters}, {self.dtype}"

    @property
    def problems(self) -> int:
        return (3 << 20) // (self.rows * self.columns * np.dtype(self.dtype).itemsize)

    def blobs(self) -> np.ndarray:
        """Gaussian blobs of unit width, as many as clusters, centers uniform in +-10."""
        random = np.random.default_rng(11)
        centers = random.uniform(-10, 10, (self.problems, self.n_clusters, self.columns))
        which = random.integers(self.n_clusters, size=(self.problems, self.rows))
        rows = np.take_along_axis(centers, which[:, :, None], axis=1)
        return (rows + random.normal(size=rows.shape)).astype(self.dtype)


SHAPES = (
    Shape(100, 4, 3, "float32"),
    Shape(100, 4, 3, "float64"),
    Shape(50, 2, 2, "float32"),
    Shape(500, 8, 5, "float32"),
    Shape(2000, 16, 10, "float32"),
)


class InProcess:
    """The engine in a process of its own: one batch a line."""

    def __init__(self, program: Path, x: Path, shape: Shape, threads: int) -> None:
        command = [program, x, str(shape.problems), str(shape.n_clusters), "cpu", str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def batch(self) -> dict[str, Any]:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate()


def sklearn_seconds(X: np.ndarray, n_clusters: int) -> float:
    """Of one fit, on average over these problems."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        begun = time.process_time()
        for problem in X:
            KMeans(n_clusters, n_init=1, random_state=0).fit(problem)
        return (time.process_time() - begun) / len(X)


def grpc_seconds(client: Any, X: np.ndarray, n_clusters: int) -> tuple[float, float]:
    begun = time.perf_counter()
    result = client.fit_batch(X, n_clusters, random_state=0, wait=50).result()
    return time.perf_counter() - begun, float(result.inertia.sum())


def measure(shape: Shape, client: Any, program: Path, threads: int, repeats: int) -> dict[str, Any]:
    X = shape.blobs()
    times: dict[str, list[float]] = {"one_core": [], "all_cores": [], "grpc": [], "sklearn": []}
    some = X[: max(10, 20_000 // shape.rows)]
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "x.npy", X.reshape(-1, shape.columns))
        one, all_ = (InProcess(program, Path(folder) / "x.npy", shape, n) for n in (1, threads))
        one.batch(), all_.batch(), grpc_seconds(client, X, shape.n_clusters), sklearn_seconds(some[:2], shape.n_clusters)
        turns: dict[str, Callable[[], float]] = {
            "one_core": lambda: one.batch()["cpu_ns"] / 1e9 / shape.problems,
            "all_cores": lambda: all_.batch()["ns"] / 1e9 / shape.problems,
            "grpc": lambda: grpc_seconds(client, X, shape.n_clusters)[0] / shape.problems,
            "sklearn": lambda: sklearn_seconds(some, shape.n_clusters),
        }
        for repeat in range(repeats):
            for name in list(turns)[repeat % 4 :] + list(turns)[: repeat % 4]:
                times[name].append(turns[name]())
        last, wire = one.batch(), grpc_seconds(client, X, shape.n_clusters)[1]
        assert last["labels"] == all_.batch()["labels"], "threads changed the answer"
        assert abs(last["inertia"] - wire) <= 1e-12 * wire, "the wire changed the answer"
        one.close(), all_.close()
    middle = {name: statistics.median(values) for name, values in times.items()}
    return {
        "shape": shape.name,
        "problems": shape.problems,
        "failed": last["failed"],
        "mean_rounds": last["n_iter"],
        "microseconds_a_fit": {name: [round(1e6 * v, 3) for v in values] for name, values in times.items()},
        "fits_a_second": {name: round(1 / value) for name, value in middle.items()},
        "sklearn_over_one_core": round(middle["sklearn"] / middle["one_core"], 1),
    }


def table(results: dict[str, Any]) -> str:
    where = results["machine"]
    lines = [
        f"`perf/fits.py` on {where['cpu']}, {where['threads']} threads, {where['isa']}; scikit-learn {where['sklearn']}; "
        f"medians of {results['repeats']}, load average {where['load_average_at_the_end']:.1f}. Fits a second; blobs, k-means++, "
        "one run, tol 1e-4. One core: of CPU time; the others by the clock.",
        "",
        "| problem | problems a call | mean rounds | in process, one core | in process, all | over gRPC | scikit-learn, one core "
        "| time of scikit-learn / Bary, one core |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        rate = row["fits_a_second"]
        lines.append(
            f"| {row['shape']} | {row['problems']:,} | {row['mean_rounds']:.1f} | {rate['one_core']:,} | {rate['all_cores']:,} "
            f"| {rate['grpc']:,} | {rate['sklearn']:,} | {row['sklearn_over_one_core']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=Path, default=Path("build/release"), help="build folder")
    parser.add_argument("--out", type=Path, default=Path("perf/results/fits.json"))
    parser.add_argument("--repeats", type=int, default=9)
    asked = parser.parse_args()
    threads = len(os.sched_getaffinity(0))

    import bary

    program = asked.bin / "perf/perf_fits"
    if not program.exists():
        parser.error(f"{program} is not built: ninja -C {asked.bin} perf_fits")
    with bary.connect() as client:
        rows = []
        for shape in SHAPES:
            rows.append(measure(shape, client, program, threads, asked.repeats))
            print(rows[-1]["shape"], json.dumps(rows[-1]["fits_a_second"]), flush=True)
        results = {"machine": machine(client, threads), "repeats": asked.repeats, "rows": rows}
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(results, indent=1) + "\n")
    asked.out.with_suffix(".md").write_text(table(results))
    print(table(results))


if __name__ == "__main__":
    main()
