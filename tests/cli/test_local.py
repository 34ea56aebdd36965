"""bary --local: the engine in the command's own process."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import SLOWNESS, Command, blobs, long_fit

FIT = ("fit", "x.npy", "--local", "--n-clusters", 5, "--random-state", 1)


def test_a_fit_writes_what_numpy_reads(bary: Command, folder: Path) -> None:
    x = blobs()
    np.save(folder / "x.npy", x)
    fit = bary.ok(*FIT, "--labels", "l.npy", "--centers", "c.npy", "--json").json()
    labels, centers = np.load(folder / "l.npy"), np.load(folder / "c.npy")
    assert (labels.dtype, labels.shape) == (np.int32, (1000,))
    assert (centers.dtype, centers.shape) == (np.float64, (5, 3))
    distances = ((x[:, None] - centers) ** 2).sum(-1)
    assert (distances.argmin(1) == labels).all()
    assert fit["fit"]["inertia"] == pytest.approx(distances.min(1).sum(), rel=1e-12)
    assert fit["fit"]["sizes"] == np.bincount(labels).tolist()
    assert np.array_equal(fit["fit"]["cluster_centers"]["values"], centers)
    assert fit["files"] == {"labels": "l.npy", "centers": "c.npy"}
    assert fit["state"] == "JOB_STATE_SUCCEEDED"
    assert sorted(p.name for p in folder.iterdir()) == ["c.npy", "l.npy", "x.npy"]


def test_the_summary_names_what_a_person_asks_for(bary: Command, folder: Path) -> None:
    np.save(folder / "x.npy", blobs(1000, 3, 30))
    words = bary.ok(*FIT[:4], 25, "--random-state", 7, "--labels", "l.npy", "--history").out
    lines = dict(line.split(None, 1) for line in words.splitlines() if not line.startswith(" "))
    assert lines["n_clusters"] == "25"
    assert lines["rows"] == "1000 x 3 float64"
    assert ", then " in lines["n_iter"]
    assert float(lines["inertia"]) > 0
    assert lines["sizes"].endswith(" and 5 more")
    assert lines["random_state"] == "7"
    assert lines["labels"] == "l.npy"
    assert "threads" in lines["device"]
    assert lines["time"].endswith("s")


def test_predict_repeats_the_labels_of_the_fit(bary: Command, folder: Path) -> None:
    x = blobs()
    np.save(folder / "x.npy", x)
    bary.ok(*FIT, "--labels", "l.npy", "--centers", "c.npy", "--model-out", "m.bary")
    for model in ("m.bary", "c.npy"):
        predict = ["predict", "x.npy", "--local", "--model", model]
        answer = bary.ok(*predict, "--labels", "p.npy", "--distances", "d.npy", "--json").json()
        assert (folder / "p.npy").read_bytes() == (folder / "l.npy").read_bytes()
        distances = np.load(folder / "d.npy")
        assert np.allclose(distances, np.sqrt(((x[:, None] - np.load(folder / "c.npy")) ** 2).sum(-1)), rtol=1e-12)
        assert answer["rows"] == 1000
        assert answer["files"] == {"labels": "p.npy", "distances": "d.npy"}


def test_order_in_memory_and_threads_do_not_show(bary: Command, folder: Path) -> None:
    x = blobs()
    np.save(folder / "x.npy", x)
    bary.ok(*FIT, "--labels", "l.npy", "--centers", "c.npy")
    want = (folder / "l.npy").read_bytes() + (folder / "c.npy").read_bytes()
    for change in ("fortran", "threads"):
        if change == "fortran":
            np.save(folder / "x.npy", np.asfortranarray(x))
        bary.ok(*FIT, "--threads", 1, "--labels", "l.npy", "--centers", "c.npy")
        assert (folder / "l.npy").read_bytes() + (folder / "c.npy").read_bytes() == want


def test_parameters_reach_the_engine(bary: Command, folder: Path) -> None:
    x = blobs()
    np.save(folder / "x.npy", x)
    np.save(folder / "c.npy", x[:5])
    np.save(folder / "w.npy", np.arange(1000) % 3)
    fit = bary.ok(*FIT[:3], "--init", "c.npy", "--max-iter", 2, "--tol", 0, "--fixed-rounds", "--history", "--json")
    result = fit.json()["fit"]
    assert (result["init"], result["n_clusters"], result["n_iter"]) == ("INIT_CENTERS", 5, 2)
    assert result["stop"] == "STOP_REASON_FIXED_ROUNDS"
    assert len(result["history"]) == 2
    result = bary.ok(*FIT, "--init", "random", "--json").json()["fit"]
    assert (result["init"], result["n_init"]) == ("INIT_RANDOM", 10)
    result = bary.ok(*FIT, "--n-init", 3, "--sample-weight", "w.npy", "--json").json()["fit"]
    assert (result["init"], result["n_init"]) == ("INIT_KMEANS_PLUS_PLUS", 3)
    assert sum(result["sizes"]) == 666
    assert bary.ok(*FIT[:-1], 2**64 - 1, "--json").json()["fit"]["random_state"] == str(2**64 - 1)


def test_a_drawn_seed_is_shown_and_gives_the_same_answer(bary: Command, folder: Path) -> None:
    np.save(folder / "x.npy", blobs())
    first = bary.ok(*FIT[:5], "--json").json()["fit"]
    again = bary.ok(*FIT[:5], "--random-state", first["random_state"], "--json").json()["fit"]
    assert again == first


def test_rows_with_nan_can_be_skipped(bary: Command, folder: Path) -> None:
    x = blobs()
    x[7, 1] = np.nan
    np.save(folder / "x.npy", x)
    fit = bary.ok(*FIT, "--non-finite", "skip", "--labels", "l.npy", "--model-out", "m.bary", "--json").json()
    labels = np.load(folder / "l.npy")
    assert fit["fit"]["rows_skipped"] == 1
    assert np.flatnonzero(labels == -1).tolist() == [7]
    predict = ["predict", "x.npy", "--local", "--model", "m.bary", "--labels", "p.npy"]
    bary.refused(2, "x.npy has 1 non-finite values; ...", *predict)
    bary.ok(*predict, "--non-finite", "skip")
    assert (np.load(folder / "p.npy") == labels).all()


def test_a_damaged_model_is_74_and_a_wrong_one_2(bary: Command, folder: Path) -> None:
    np.save(folder / "x.npy", blobs())
    np.save(folder / "y.npy", blobs(10, 4))
    bary.ok(*FIT, "--model-out", "m.bary")
    whole = bytearray((folder / "m.bary").read_bytes())
    whole[len(whole) // 2] ^= 1
    (folder / "bad.bary").write_bytes(whole)
    predict = ("predict", "y.npy", "--local", "--labels", "p.npy", "--model")
    bary.refused(74, "bad.bary is damaged at byte ...", *predict, "bad.bary")
    bary.refused(2, "cannot open 'none.bary': No such file or directory", *predict, "none.bary")
    bary.refused(2, "y.npy has 4 columns; it must have the model's 3", *predict, "m.bary")
    assert not (folder / "p.npy").exists()


def test_a_fit_ends_at_its_max_runtime(bary: Command, folder: Path) -> None:
    bary.refused(2, "job 'local' ran longer than max_runtime=200 ms", *long_fit(folder), "--local", "--max-runtime", 0.2)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_fit_ends_at_once_with_130(bary: Command, folder: Path, how: signal.Signals) -> None:
    process = bary.start(*long_fit(folder), "--local", "--labels", "l.npy")
    time.sleep(0.7 * SLOWNESS)
    asked = time.monotonic()
    process.send_signal(how)
    out, error = process.communicate(timeout=30 * SLOWNESS)
    assert time.monotonic() - asked < 1.0 * SLOWNESS
    assert (process.returncode, out, error) == (130, "", "bary: cancelled: interrupted\n")
    assert not (folder / "l.npy").exists()


def test_progress_is_a_line_every_two_seconds(bary: Command, folder: Path) -> None:
    ended = bary(*long_fit(folder), "--local", "--max-runtime", 4.5, "--progress")
    lines = ended.error.splitlines()
    assert 2 <= len(lines) - 1 <= 3, lines
    assert all("round " in line or line in ("seeding", "reading") for line in lines[:-1]), lines


def test_on_a_terminal_one_line_is_rewritten_and_cleared(bary: Command, folder: Path) -> None:
    here, there = os.openpty()
    process = bary.start(*long_fit(folder), "--local", "--max-runtime", 1.5, stderr=there)
    os.close(there)
    said = b""
    while b"max_runtime" not in said or not said.endswith(b"\n"):
        said += os.read(here, 4096)
    process.communicate(timeout=30 * SLOWNESS)
    os.close(here)
    lines = said.decode().split("\r\033[K")
    assert len(lines) > 3, lines
    assert lines[0] == ""
    assert "\n" not in "".join(lines[:-1])
    assert lines[-1] == "bary: job 'local' ran longer than max_runtime=1500 ms\r\n"
