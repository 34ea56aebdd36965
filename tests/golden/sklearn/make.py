"""What scikit-learn finds on blobs, digits and iris from given initial centers.

    python3 tests/golden/sklearn/make.py      (scikit-learn 1.9.0, numpy; one thread)

For each data set and number type: runs from rows of the data as centers.
    NAME.npy              the data, float64 (digits: uint8)
    NAME.rows.npy         runs x clusters, int32: which rows are the initial centers
    NAME.TYPE.labels.npy  runs x rows, uint8
    NAME.TYPE.ends.npy    runs x 2, float64: n_iter, inertia
Runs alternate between tol=1e-4 (even) and tol=0 (odd). Digits are integers: from rows as centers two
runs of five met an exact tie in their first round, so offset() moves these centers off the grid.
"""

import pathlib
import warnings

import numpy as np
import sklearn
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, load_iris, make_blobs

HERE = pathlib.Path(__file__).parent
TYPES = {"f64": np.float64, "f32": np.float32}


def offset(clusters: int, columns: int) -> np.ndarray:
    """Multiples of 1/64, so exact in float32."""
    return ((7 * np.arange(clusters)[:, None] + 3 * np.arange(columns)) % 11 - 5) / 64


def runs(name: str, data: np.ndarray, clusters: int, count: int, moved: bool = False) -> None:
    generator = np.random.default_rng(20260101)
    rows = np.array([generator.choice(len(data), clusters, replace=False) for _ in range(count)])
    np.save(HERE / f"{name}.rows.npy", rows.astype(np.int32))
    for number, dtype in TYPES.items():
        x = np.ascontiguousarray(data, dtype=dtype)
        labels = np.empty((count, len(data)), dtype=np.uint8)
        ends = np.empty((count, 2))
        for run in range(count):
            init = x[rows[run]]
            if moved:
                init = init + offset(clusters, data.shape[1]).astype(dtype)
            fitted = KMeans(clusters, init=init, n_init=1, max_iter=300,
                            tol=1e-4 if run % 2 == 0 else 0, algorithm="lloyd").fit(x)
            labels[run] = fitted.labels_
            ends[run] = fitted.n_iter_, fitted.inertia_
        np.save(HERE / f"{name}.{number}.labels.npy", labels)
        np.save(HERE / f"{name}.{number}.ends.npy", ends)
        print(name, number, "n_iter", ends[:, 0].min(), "to", ends[:, 0].max())


def main() -> None:
    print("scikit-learn", sklearn.__version__)
    warnings.simplefilter("error")
    iris = load_iris().data
    np.save(HERE / "iris.npy", iris)
    runs("iris", iris, 3, 50)
    digits = load_digits().data
    np.save(HERE / "digits.npy", digits.astype(np.uint8))
    runs("digits", digits, 10, 30, moved=True)
    blobs, _ = make_blobs(n_samples=400, n_features=3, centers=6, cluster_std=1.5, random_state=7)
    np.save(HERE / "blobs.npy", blobs)
    runs("blobs", blobs, 6, 40)


if __name__ == "__main__":
    main()
