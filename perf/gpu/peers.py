"""Rounds of k-means by Bary and by others: the same rows, initial centers and number of rounds.

    peers.py --build FOLDER --backend FOLDER --folder ROWS --seed N [--small] PEER...

Rows and centers are made once, as .npy files; each peer runs in a process of its own under a cap, is
warmed up, and is measured with 10 and with 30 rounds: a round is a twentieth of the difference. Its
labels are judged in float64 against its own centers, its inertia by one scorer. One line of JSON a peer
and shape; what cannot run says why. Peers are taken from where Python finds them, else from
perf/gpu/wheels (unpacked) and perf/gpu/peers: neither folder is part of this project; peers.txt names them.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
SHAPES = {  # rows, columns, clusters
    "1M x 16, k = 10": (1_000_000, 16, 10),
    "1M x 64, k = 64": (1_000_000, 64, 64),
    "1M x 128, k = 1024": (1_048_576, 128, 1024),
    "60k x 784, k = 100": (60_000, 784, 100),
}
SMALL = {"1500 x 5, k = 7": (1500, 5, 7)}
FEW, MANY = 10, 30
JUDGED_ROWS = 65_536
Answer = tuple[np.ndarray, np.ndarray]  # labels, centers
Run = Callable[[int], Answer]  # rounds -> answer, all of it finished


def torch_run(x: np.ndarray, centers: np.ndarray) -> Run:
    """Lloyd as one writes it in PyTorch: a product per chunk of rows, argmin, index_add."""
    import torch

    data, first = torch.from_numpy(x).cuda(), torch.from_numpy(centers).cuda()
    chunk = max(1, (1 << 28) // len(centers))

    def assign(c: torch.Tensor) -> torch.Tensor:
        norms = (c * c).sum(1)
        return torch.cat([torch.addmm(norms, part, c.T, alpha=-2).argmin(1) for part in data.split(chunk)])

    def run(rounds: int) -> Answer:
        c = first
        for _ in range(rounds):
            labels = assign(c)
            sums = torch.zeros_like(c).index_add_(0, labels, data)
            counts = torch.bincount(labels, minlength=len(c)).unsqueeze(1)
            c = torch.where(counts > 0, sums / counts.clamp(min=1), c)
        labels = assign(c)
        torch.cuda.synchronize()
        return labels.cpu().numpy(), c.cpu().numpy()

    return run


def flash_run(x: np.ndarray, centers: np.ndarray) -> Run:
    import torch
    from flash_kmeans import batch_kmeans_Euclid

    data, first = torch.from_numpy(x).cuda()[None], torch.from_numpy(centers).cuda()[None]

    def run(rounds: int) -> Answer:
        labels, c, *_ = batch_kmeans_Euclid(data, len(centers), max_iters=rounds, tol=-1.0, init_centroids=first.clone())
        torch.cuda.synchronize()
        return labels[0].cpu().numpy(), c[0].float().cpu().numpy()

    return run


def fastkmeans_run(x: np.ndarray, centers: np.ndarray) -> Run:
    """It draws its own initial centers: its inertia may differ for that reason alone."""
    from fastkmeans import FastKMeans

    def run(rounds: int) -> Answer:
        model = FastKMeans(x.shape[1], len(centers), niter=rounds, tol=0.0, seed=1)
        labels = model.fit_predict(x)
        return np.asarray(labels), np.asarray(model.centroids)

    return run


def fast_pytorch_run(x: np.ndarray, centers: np.ndarray) -> Run:
    import torch
    from fast_pytorch_kmeans import KMeans

    data, first = torch.from_numpy(x).cuda(), torch.from_numpy(centers).cuda()

    def run(rounds: int) -> Answer:
        model = KMeans(n_clusters=len(centers), max_iter=rounds, tol=0.0)
        labels = model.fit_predict(data, centroids=first.clone())
        torch.cuda.synchronize()
        return labels.cpu().numpy(), model.centroids.cpu().numpy()

    return run


def cuml_run(x: np.ndarray, centers: np.ndarray) -> Run:
    import cupy
    from cuml.cluster import KMeans

    data = cupy.asarray(x)

    def run(rounds: int) -> Answer:
        model = KMeans(n_clusters=len(centers), init=centers, n_init=1, max_iter=rounds, tol=1e-30).fit(data)
        cupy.cuda.Device().synchronize()
        return cupy.asnumpy(model.labels_), cupy.asnumpy(model.cluster_centers_)

    return run


def faiss_run(x: np.ndarray, centers: np.ndarray) -> Run:
    import faiss

    gpu = getattr(faiss, "get_num_gpus", lambda: 0)() > 0

    def run(rounds: int) -> Answer:
        most = -(-len(x) // len(centers))
        model = faiss.Kmeans(x.shape[1], len(centers), niter=rounds, gpu=gpu, max_points_per_centroid=most, seed=1)
        model.train(x, init_centroids=centers)
        _, labels = model.index.search(x, 1)
        return labels[:, 0], model.centroids

    return run


def sklearn_run(x: np.ndarray, centers: np.ndarray) -> Run:
    import warnings

    from sklearn.cluster import KMeans

    def run(rounds: int) -> Answer:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it did not converge: it was not to
            model = KMeans(len(centers), init=centers, n_init=1, max_iter=rounds, tol=0).fit(x)
        return model.labels_, model.cluster_centers_

    return run


PEERS: dict[str, tuple[Callable[[np.ndarray, np.ndarray], Run], str]] = {  # and the distribution's name
    "torch": (torch_run, "torch"),
    "flash_kmeans": (flash_run, "flash-kmeans"),
    "fastkmeans": (fastkmeans_run, "fastkmeans"),
    "fast_pytorch_kmeans": (fast_pytorch_run, "fast-pytorch-kmeans"),
    "cuml": (cuml_run, "cuml-cu12"),
    "faiss": (faiss_run, "faiss-gpu-cu12"),
    "sklearn": (sklearn_run, "scikit-learn"),
}


def judge(x: np.ndarray, labels: np.ndarray, centers: np.ndarray) -> dict[str, Any]:
    """Wrong labels among the first rows, in float64 against the peer's own centers, and the inertia."""
    c = centers.astype(np.float64)
    rows = x[:JUDGED_ROWS].astype(np.float64)
    norms, wrong = (c * c).sum(1), 0
    for first in range(0, len(rows), 4096):
        part = rows[first : first + 4096]
        near = np.argpartition(norms - 2 * part @ c.T, min(1, len(c) - 1), axis=1)[:, :2]  # then exactly
        exact = ((part[:, None, :] - c[near]) ** 2).sum(2)
        mine = ((part - c[labels[first : first + 4096]]) ** 2).sum(1)
        wrong += int((mine > exact.min(1) * (1 + 1e-12)).sum())
    inertia = sum(float(((x[i : i + 65536].astype(np.float64) - c[labels[i : i + 65536]]) ** 2).sum()) for i in range(0, len(x), 65536))
    return {"wrong_labels": wrong, "rows_checked": len(rows), "inertia": inertia}


def timed(run: Run, rounds: int) -> tuple[float, Answer]:
    """The least of three, in milliseconds."""
    least, answer = float("inf"), None
    for _ in range(3):
        begun = time.perf_counter()
        answer = run(rounds)
        least = min(least, (time.perf_counter() - begun) * 1e3)
    assert answer is not None
    return least, answer


def one(peer: str, rows: Path, centers: Path) -> dict[str, Any]:
    """Measure one peer in this process."""
    x, c = np.load(rows), np.load(centers)
    make, distribution = PEERS[peer]
    begun = time.perf_counter()
    run = make(x, c)
    run(2)
    first_s = time.perf_counter() - begun
    few, _ = timed(run, FEW)
    many, (labels, found) = timed(run, MANY)
    return {
        "version": version_of(distribution),
        "first_s": round(first_s, 2),
        "round_ms": (many - few) / (MANY - FEW),
        "fit_ms": few,
        **judge(x, labels, found),
    }


def version_of(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def bary(place: str, build: Path, rows: Path, centers: Path, cap: int) -> dict[str, Any]:
    """Bary in process, on a backend."""
    times, last = [], {}
    for rounds in (FEW, MANY):
        command = [str(build / "perf/perf_fit"), str(rows), str(centers), str(rounds), "0", place]
        done = subprocess.run(command, input="1\n" * 4, capture_output=True, text=True, timeout=cap, check=False)
        if done.returncode != 0:
            return {"why": done.stderr.strip()[-200:]}
        runs = [json.loads(line) for line in done.stdout.splitlines()]
        last = runs[-1]
        times.append(min(r["ns"] for r in runs[1:]) / 1e6)
    return {
        "version": "",
        "round_ms": (times[1] - times[0]) / (MANY - FEW),
        "fit_ms": times[0],
        "inertia": last["inertia"],
        "wrong_labels": 0,  # the step 'quality' counts them
        "rows_checked": 0,
    }


def rows_make(folder: Path, name: str, shape: tuple[int, int, int], seed: int) -> tuple[Path, Path]:
    """Rows and initial centers as files, made once."""
    n, d, k = shape
    stem = name.replace(" ", "").replace(",", "-").replace("=", "")
    rows, centers = folder / f"{stem}-rows.npy", folder / f"{stem}-centers.npy"
    if not rows.exists() or not centers.exists():
        random = np.random.Generator(np.random.Philox(seed))
        x = random.standard_normal((n, d), dtype=np.float32)
        np.save(rows, x)
        np.save(centers, x[random.choice(n, k, replace=False)])
    return rows, centers


def carried() -> list[str]:
    """Where peers that were brought along lie."""
    unpacked = HERE / "wheels" / "unpacked"
    for wheel in sorted((HERE / "wheels").glob("*.whl")):
        target = unpacked / wheel.stem
        if not target.exists():
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(target)
    return [str(path) for path in [*unpacked.glob("*"), *(HERE / "peers").glob("*")] if path.is_dir()]


def measure(peer: str, args: argparse.Namespace, rows: Path, centers: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--one", peer, str(rows), str(centers)]
    try:
        if peer in ("bary", "bary-cpu"):
            return bary("cpu" if peer == "bary-cpu" else args.backend, args.build, rows, centers, args.cap)
        done = subprocess.run(command, capture_output=True, text=True, timeout=args.cap, check=False)
    except subprocess.TimeoutExpired:
        return {"why": f"more than {args.cap} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not lines:
        return {"why": (done.stderr.strip().splitlines() or ["it said nothing"])[-1][:200]}
    return json.loads(lines[-1])


def main() -> None:
    sys.path += carried()
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(one(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True, help="where perf/perf_fit was built")
    parser.add_argument("--backend", required=True, help="the plug-in's folder")
    parser.add_argument("--folder", type=Path, required=True, help="for rows and centers; best in memory")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cap", type=int, default=15, help="seconds for one peer and shape")
    parser.add_argument("--small", action="store_true", help="one shape of the emulator's size")
    parser.add_argument("peer", nargs="+", choices=[*PEERS, "bary", "bary-cpu"])
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for name, shape in (SMALL if args.small else SHAPES).items():
        rows, centers = rows_make(args.folder, name, shape, args.seed)
        for peer in args.peer:
            found = measure(peer, args, rows, centers)
            print(json.dumps({"peer": peer, "shape": name, **found}), flush=True)


if __name__ == "__main__":
    main()
