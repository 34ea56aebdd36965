"""bary fit-batch: many small problems, here and on the server; each is what bary fit says of it alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import Command, blobs

PROBLEMS, ROWS = 12, 50


def write(folder: Path) -> np.ndarray:
    X = np.stack([blobs(ROWS, 3, 4, seed) for seed in range(PROBLEMS)])
    np.save(folder / "x.npy", X.reshape(-1, 3))
    return X


OUT = ("--labels", "l.npy", "--centers", "c.npy", "--inertia", "i.npy")
BATCH = ("fit-batch", "x.npy", "--problems", PROBLEMS, "--n-clusters", 4, "--random-state", 3)


def arrays(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in ("l.npy", "c.npy", "i.npy")]


def test_each_problem_is_what_fit_says_of_it(bary: Command, folder: Path) -> None:
    X = write(folder)
    batch = bary.ok(*BATCH, "--local", *OUT, "--json").json()["batch"]
    labels, centers, inertia = (np.load(folder / name) for name in ("l.npy", "c.npy", "i.npy"))
    assert (labels.shape, centers.shape, inertia.shape) == ((600,), (48, 3), (12,))
    assert (labels.dtype, centers.dtype, inertia.dtype) == (np.int32, np.float64, np.float64)
    assert (batch["problems"], batch["failed"]) == (12, 0)
    for p in (0, 7):
        np.save(folder / "one.npy", X[p])
        fit = ("fit", "one.npy", "--local", "--n-clusters", 4, "--random-state", 3, "--labels", "ol.npy", "--centers", "oc.npy", "--json")
        one = bary.ok(*fit).json()["fit"]
        assert np.array_equal(np.load(folder / "ol.npy"), labels[p * ROWS : (p + 1) * ROWS])
        assert np.array_equal(np.load(folder / "oc.npy"), centers[4 * p : 4 * p + 4])
        assert one["inertia"] == batch["inertia"][p] == inertia[p]
        assert one["n_iter"] == batch["n_iter"][p]


def test_a_server_gives_the_same_files(bary: Command, remote: Command, folder: Path) -> None:
    write(folder)
    bary.ok(*BATCH, "--local", *OUT)
    here = arrays(folder)
    remote.ok(*BATCH, *OUT)
    assert arrays(folder) == here
    assert remote.ok("datasets", "list").out == ""


def test_offsets_make_ragged_problems(bary: Command, remote: Command, folder: Path) -> None:
    write(folder)
    np.save(folder / "o.npy", np.array([0, 10, 300, 600]))
    words = ("fit-batch", "x.npy", "--row-offsets", "o.npy", "--n-clusters", 3, "--random-state", 1)
    here = bary.ok(*words, "--local", *OUT, "--json").json()["batch"]
    files = arrays(folder)
    there = remote.ok(*words, *OUT, "--json").json()["batch"]
    assert arrays(folder) == files
    assert here["inertia"] == there["inertia"]
    assert here["center_offsets"] == there["center_offsets"] == [0, 3, 6, 9]


def test_what_a_message_cannot_hold_goes_and_comes_in_chunks(bary: Command, remote: Command, folder: Path) -> None:
    np.save(folder / "x.npy", np.random.default_rng(1).normal(size=(160_000, 8)))
    words = ("fit-batch", "x.npy", "--problems", 20_000, "--n-clusters", 4, "--random-state", 1)
    bary.ok(*words, "--local", *OUT)
    here = arrays(folder)
    remote.ok(*words, *OUT, "--tag", "chunks")
    assert arrays(folder) == here
    name = remote.ok("jobs", "list", "--tag", "chunks").out.split()[0]
    words = remote.ok("jobs", "get", name, "--labels", "l.npy", "--centers", "c.npy").out
    assert arrays(folder) == here
    assert "problems      20000, of which 0 failed" in words


@pytest.mark.parametrize("place", ["local", "remote"])
def test_one_bad_problem_is_named(bary: Command, remote: Command, folder: Path, place: str) -> None:
    X = write(folder).reshape(-1, 3)
    X[3 * ROWS + 5, 2] = np.inf
    np.save(folder / "x.npy", X)
    words = bary.ok(*BATCH, "--local", *OUT).out if place == "local" else remote.ok(*BATCH, *OUT).out
    lines = [line for line in words.splitlines() if "non-finite" in line]
    name = "x.npy" if place == "local" else "X"
    assert lines[-1].split(None, 2)[2] == f"{name}[3] has 1 non-finite values; the first is inf at row 5, column 2"
    assert "problems      12, of which 1 failed" in words
    assert np.isnan(np.load(folder / "i.npy")).tolist() == [p == 3 for p in range(12)]
    assert (np.load(folder / "l.npy")[3 * ROWS : 4 * ROWS] == -1).all()


def test_given_centers_weights_and_the_summary(bary: Command, folder: Path) -> None:
    X = write(folder)
    np.save(folder / "i0.npy", np.concatenate([problem[:2] for problem in X]))
    np.save(folder / "w.npy", np.ones(600))
    words = bary.ok("fit-batch", "x.npy", "--problems", 12, "--init", "i0.npy", "--sample-weight", "w.npy", "--local").out
    lines = dict(line.split(None, 1) for line in words.splitlines())
    assert lines["problems"] == "12, of which 0 failed"
    assert lines["rows"] == "600 x 3 float64"
    assert lines["n_iter"].endswith(" in all")
    assert "threads" in lines["device"]


def test_slips_are_one_sentence(bary: Command, folder: Path) -> None:
    write(folder)
    np.save(folder / "o.npy", np.array([0.5, 600]))
    np.save(folder / "short.npy", np.array([0, 599]))
    one = "bary fit-batch needs --problems or --row-offsets, one of them"
    bary.refused(2, one, "fit-batch", "x.npy", "--local")
    bary.refused(2, one, *BATCH, "--row-offsets", "o.npy", "--local")
    bary.refused(2, "--local and --tag do not go together", *BATCH, "--local", "--tag", "a")
    bary.refused(2, "--problems is 7; it must be a divisor of the number of rows", "fit-batch", "x.npy", "--problems", 7, "--local")
    bary.refused(
        2,
        "o.npy has values that are no row numbers; it must have whole numbers from 0 on",
        "fit-batch", "x.npy", "--row-offsets", "o.npy", "--local",
    )  # fmt: skip
    bary.refused(
        2, "row_offsets[1] is 599; it must be 600, the number of rows", "fit-batch", "x.npy", "--row-offsets", "short.npy", "--local"
    )
    bary.refused(2, "i0.npy has 3 rows and 3 columns; it must have 24 rows and 3 columns", *bad_init(folder))


def bad_init(folder: Path) -> tuple[object, ...]:
    np.save(folder / "i0.npy", np.zeros((3, 3)))
    return ("fit-batch", "x.npy", "--problems", 12, "--n-clusters", 2, "--init", "i0.npy", "--local")
