"""bary over gRPC: the same bytes as --local, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import BARY, BARYD, SLOWNESS, Command, Server, blobs, long_fit, until

FIT = ("fit", "x.npy", "--n-clusters", 5, "--random-state", 1)
ANSWER = ("inertia", "n_iter", "sizes", "history", "stop", "label_fingerprint", "random_state", "init", "n_init", "run")


def compare(bary: Command, folder: Path, *words: object) -> None:
    """The same fit here and there: labels, centers and every number of the answer are equal."""
    answers = []
    for place in ([], ["--local"]):
        outputs = ["--labels", "labels.npy", "--centers", "centers.npy", "--json", "--history"]
        fit = bary.ok(*words, *outputs, *place).json()["fit"]
        files = [(folder / name).read_bytes() for name in ("labels.npy", "centers.npy")]
        answers.append(({key: fit[key] for key in ANSWER}, files))
    assert answers[0] == answers[1]


def names(bary: Command, kind: str) -> list[str]:
    return [line.split()[0] for line in bary.ok(kind, "list").out.splitlines()]


@pytest.mark.parametrize("columns", [3, 1])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i2", "u1"])
def test_small_data_give_the_same_bytes_as_local(remote: Command, folder: Path, dtype: str, columns: int) -> None:
    np.save(folder / "x.npy", np.abs(blobs(1000, columns)).astype(dtype))
    compare(remote, folder, *FIT)


def test_every_parameter_gives_the_same_bytes_as_local(remote: Command, folder: Path) -> None:
    x = blobs()
    x[::50, 0] = np.inf
    np.save(folder / "x.npy", x)
    np.save(folder / "w.npy", np.arange(1000) % 3)
    np.save(folder / "c.npy", blobs(5, 3, seed=9))
    compare(remote, folder, *FIT, "--non-finite", "skip", "--sample-weight", "w.npy", "--n-init", 3)
    np.save(folder / "x.npy", blobs())
    compare(remote, folder, *FIT, "--init", "random", "--tol", 0, "--max-iter", 7)
    compare(remote, folder, *FIT, "--init", "c.npy", "--fixed-rounds", "--max-iter", 4, "--empty-clusters", "keep")
    compare(remote, folder, *FIT, "--threads", 1)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("weighted", [False, True])
def test_large_data_give_the_same_bytes_as_local(remote: Command, folder: Path, order: str, weighted: bool) -> None:
    x = blobs(300_000, 4)
    np.save(folder / "x.npy", np.asarray(x, order=order))  # type: ignore[call-overload]
    words = [*FIT]
    if weighted:
        np.save(folder / "w.npy", np.arange(len(x)) % 4)
        words += ["--sample-weight", "w.npy"]
    before = names(remote, "datasets")
    compare(remote, folder, *words)
    assert names(remote, "datasets") == before


def test_few_bytes_with_many_labels_give_them_all(remote: Command, folder: Path) -> None:
    np.save(folder / "x.npy", (np.arange(2_000_000) % 251).astype("u1"))
    compare(remote, folder, *FIT, "--max-iter", 3)


def test_many_centers_travel_too(remote: Command, folder: Path) -> None:
    x = blobs(2100, 256)
    np.save(folder / "x.npy", x)
    np.save(folder / "c.npy", x[:1600] + 0.5)
    before = names(remote, "datasets")
    compare(remote, folder, "fit", "x.npy", "--init", "c.npy", "--max-iter", 1, "--random-state", 1)
    remote.ok("predict", "x.npy", "--model", "./c.npy", "--labels", "p.npy", "--distances", "d.npy")
    remote.ok("predict", "x.npy", "--model", "c.npy", "--labels", "q.npy", "--distances", "e.npy", "--local")
    for mine, theirs in (("p.npy", "q.npy"), ("d.npy", "e.npy")):
        assert (folder / mine).read_bytes() == (folder / theirs).read_bytes()
    assert names(remote, "datasets") == before


def test_predict_repeats_the_labels_of_the_fit(remote: Command, folder: Path) -> None:
    x = blobs(200_000, 4)
    np.save(folder / "x.npy", x)
    fit = remote.ok(*FIT, "--labels", "l.npy", "--centers", "c.npy", "--model", "blobs", "--json").json()
    assert fit["fit"]["model"].endswith("models/blobs/versions/1")
    for model in ("blobs", "blobs/versions/1", "c.npy"):
        predict = ["predict", "x.npy", "--model", model, "--labels", "p.npy", "--distances", "d.npy"]
        assert remote.ok(*predict, "--json").json()["rows"] == 200_000
        assert (folder / "p.npy").read_bytes() == (folder / "l.npy").read_bytes()
        distances = np.load(folder / "d.npy")
        assert distances.shape == (200_000, 5)
        assert (distances.argmin(1) == np.load(folder / "l.npy")).all()
    remote.ok("models", "delete", "blobs")


def test_datasets_are_kept_used_and_deleted(remote: Command, folder: Path) -> None:
    np.save(folder / "x.npy", blobs(100_000, 5))
    name = remote.ok("datasets", "create", "x.npy", "--id", "rows", "--ttl", 600).out.strip()
    assert name == "rows"
    remote.refused(2, "dataset 'rows' exists already", "datasets", "create", "x.npy", "--id", "rows")
    data = remote.ok("datasets", "get", name, "--json").json()
    assert (data["rows"], data["state"], data["ttl"]) == (100_000, "DATASET_STATE_SEALED", 600.0)
    remote.ok("fit", "--dataset", name, *FIT[2:], "--labels", "l.npy", "--model", "m")
    remote.ok(*FIT, "--local", "--labels", "p.npy")
    assert (folder / "l.npy").read_bytes() == (folder / "p.npy").read_bytes()
    remote.ok("predict", "--dataset", name, "--model", "m", "--labels", "p.npy")
    assert (folder / "l.npy").read_bytes() == (folder / "p.npy").read_bytes()
    remote.ok(*FIT, "--keep-dataset", "kept")
    assert {"rows", "kept"} <= set(names(remote, "datasets"))
    remote.ok("datasets", "delete", name, "kept")
    assert remote.ok("datasets", "create", "x.npy", "--json").json()["rows"] == 100_000
    assert not {"rows", "kept"} & set(names(remote, "datasets"))
    remote.refused(2, "dataset 'rows' does not exist", "datasets", "get", name)
    remote.refused(2, "dataset 'rows' does not exist", "fit", "--dataset", name)
    remote.ok("models", "delete", "m")


def test_models_are_listed_shown_and_deleted(remote: Command, folder: Path) -> None:
    np.save(folder / "x.npy", blobs())
    remote.ok(*FIT, "--model", "shown", "--centers", "c.npy")
    remote.ok(*FIT, "--model", "shown")
    assert "shown/versions/2" in names(remote, "models")
    model = remote.ok("models", "get", "shown", "--centers", "m.npy", "--json").json()
    assert (model["version"], model["n_clusters"], model["columns"]) == (2, 5, 3)
    assert (folder / "m.npy").read_bytes() == (folder / "c.npy").read_bytes()
    assert "inertia" in remote.ok("models", "get", "shown/versions/1").out
    remote.ok("models", "delete", "shown/versions/1")
    remote.refused(2, "model 'shown/versions/1' does not exist", "models", "get", "shown/versions/1")
    remote.ok("models", "delete", "shown")
    remote.refused(2, "model 'shown' does not exist", "models", "delete", "shown")
    remote.refused(2, "model 'shown' does not exist", "predict", "x.npy", "--model", "shown", "--labels", "p.npy")


def test_jobs_are_found_again(remote: Command, folder: Path) -> None:
    np.save(folder / "x.npy", blobs(200_000, 4))
    job = remote.ok(*FIT, "--detach", "--tag", "night", "--tag", "second").out.strip()
    ended = remote("jobs", "wait", job)
    assert ended.code == 0, ended
    assert "SUCCEEDED" in ended.out
    assert "n_iter" in ended.out
    found = remote.ok("jobs", "get", job, "--json", "--labels", "l.npy", "--centers", "c.npy").json()
    assert found["tags"] == ["night", "second"]
    remote.ok(*FIT, "--local", "--labels", "p.npy", "--centers", "d.npy")
    assert (folder / "l.npy").read_bytes() == (folder / "p.npy").read_bytes()
    assert (folder / "c.npy").read_bytes() == (folder / "d.npy").read_bytes()
    listed = remote.ok("jobs", "list", "--tag", "night", "--state", "succeeded", "--json").json()["jobs"]
    assert [one["name"].rsplit("/", 1)[1] for one in listed] == [job.rsplit("/", 1)[1]]
    assert remote.ok("jobs", "list", "--tag", "day").out == ""
    assert remote("jobs", "watch", job).code == 0
    remote.refused(2, "job 'nothing' does not exist", "jobs", "get", "nothing")


def test_jobs_are_cancelled_by_name_and_by_tag(remote: Command, folder: Path) -> None:
    words = long_fit(folder)
    first = remote.ok(*words, "--detach", "--tag", "long").out.strip()
    second = remote.ok(*words, "--detach", "--tag", "long").out.strip()
    late = remote("jobs", "wait", first, "--timeout", 0.3)
    assert (late.code, late.error) == (69, "bary: the deadline of 300 ms passed\n")
    remote.ok("jobs", "cancel", first)
    ended = remote("jobs", "wait", first)
    assert ended.code == 130, ended
    assert "CANCELLED" in ended.out
    remote.ok("jobs", "cancel", "--tag", "long")
    assert remote("jobs", "wait", second, "--timeout", 20).code == 130
    assert remote.ok("jobs", "list", "--tag", "long", "--state", "running").out == ""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cancels_the_job_on_the_server(remote: Command, folder: Path, how: signal.Signals) -> None:
    tag = f"interrupted-{how.name.lower()}"
    process = remote.start(*long_fit(folder), "--tag", tag, "--labels", "l.npy")
    until(lambda: "RUNNING" in remote.ok("jobs", "list", "--tag", tag).out, "running")
    asked = time.monotonic()
    process.send_signal(how)
    out, error = process.communicate(timeout=30 * SLOWNESS)
    assert time.monotonic() - asked < 2.0 * SLOWNESS
    assert process.returncode == 130, error
    assert error.startswith("bary: cancelled"), error
    jobs = remote.ok("jobs", "list", "--tag", tag, "--json").json()["jobs"]
    assert [job["state"] for job in jobs] == ["JOB_STATE_CANCELLED"]
    assert not (folder / "l.npy").exists()


def test_a_second_interrupt_leaves_at_once(start: Callable[..., Server], folder: Path) -> None:
    server = start()
    bary = Command(folder, server.unix)
    process = bary.start(*long_fit(folder))
    until(lambda: "RUNNING" in bary.ok("jobs", "list").out, "running")
    server.process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.3)
        assert process.wait(5) == 130
    finally:
        server.process.send_signal(signal.SIGCONT)
        process.communicate()


def test_a_killed_server_is_69(start: Callable[..., Server], folder: Path) -> None:
    server = start()
    bary = Command(folder, server.unix)
    process = bary.start(*long_fit(folder), "--labels", "l.npy")
    until(lambda: "RUNNING" in bary.ok("jobs", "list").out, "running")
    server.process.kill()
    out, error = process.communicate(timeout=30 * SLOWNESS)
    assert process.returncode == 69, error
    assert error.startswith(f"bary: no server answers at '{server.unix}': "), error
    assert not (folder / "l.npy").exists()


def test_a_server_killed_in_an_upload_is_69(start: Callable[..., Server], folder: Path) -> None:
    server = start()
    bary = Command(folder, server.tcp)
    with open(folder / "big.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (1 << 24, 8)})
        file.truncate(file.tell() + (1 << 30))
    process = bary.start("datasets", "create", "big.npy")
    until(lambda: bary.ok("datasets", "list").out, "there")
    server.process.kill()
    _, error = process.communicate(timeout=30 * SLOWNESS)
    assert process.returncode == 69, error


def test_an_interrupted_upload_leaves_no_dataset(start: Callable[..., Server], folder: Path) -> None:
    server = start()
    bary = Command(folder, server.tcp)
    with open(folder / "big.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (1 << 24, 8)})
        file.truncate(file.tell() + (1 << 30))
    process = bary.start("fit", "big.npy")
    until(lambda: bary.ok("datasets", "list").out, "there")
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30 * SLOWNESS)
    assert (process.returncode, error) == (130, "bary: cancelled: by the caller\n")
    assert bary.ok("datasets", "list").out == ""


def test_the_servers_refusals_keep_their_words(remote: Command, folder: Path) -> None:
    x = blobs()
    x[7, 1] = np.nan
    np.save(folder / "x.npy", x)
    ended = remote(*FIT, "--json")
    assert ended.code == 2
    assert ended.error.endswith("has 1 non-finite values; the first is nan at row 7, column 1\n")
    answer = ended.json()
    assert answer.get("error", {}).get("reason") == "NON_FINITE"
    ended = remote("fit", "x.npy", "--n-clusters", 2000, "--non-finite", "skip")
    assert ended.code == 2
    assert "n_clusters=2000 needs at least that many" in ended.error
    np.save(folder / "x.npy", blobs())
    ended = remote("fit", "x.npy", "--model", "BAD NAME")
    assert ended.code == 2
    assert "BAD NAME" in ended.error
    ended = remote(*long_fit(folder), "--max-runtime", 0.3)
    assert ended.code == 2
    assert "ran longer than max_runtime=300 ms" in ended.error


def test_the_server_is_shown(remote: Command) -> None:
    words = remote.ok("server").out
    assert "device        cpu 0:" in words
    assert "queued_jobs = 64 count" in words
    shown = remote.ok("server", "--json").json()
    assert shown["numerics_version"] == 1
    assert shown["volatile_datasets"] is True


def test_tcp_is_as_good_as_a_socket(folder: Path, shared: Server) -> None:
    bary = Command(folder)
    assert "version" in bary.ok("server", "--address", shared.tcp).out
    assert "version" in Command(folder, shared.tcp).ok("server").out


def test_a_server_that_starts_late_is_waited_for(folder: Path, start: Callable[..., Server]) -> None:
    bary = Command(folder)
    process = bary.start("server", "--address", f"unix:{folder}/server0/b.sock", "--connect-timeout", 20)
    time.sleep(0.5)
    start()
    started = time.monotonic()
    out, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (0, "")
    assert time.monotonic() - started < 2.0 * SLOWNESS
    assert "version" in out


def test_serve_becomes_the_server(folder: Path) -> None:
    if not os.access(BARYD, os.X_OK):
        pytest.skip(f"there is no baryd at {BARYD}")
    bary = Command(folder)
    address = f"unix:{folder}/s.sock"
    words = ["--listen", address, "--state", folder / "state", "--http", "127.0.0.1:0"]
    process = bary.start("serve", *words)
    assert process.stdout is not None
    try:
        assert '"ready"' in process.stdout.readline()
        assert "version" in bary.ok("server", "--address", address).out
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=40 * SLOWNESS)
    assert process.returncode == 0


def test_without_a_baryd_serve_is_78(folder: Path) -> None:
    copy = folder / "bary"
    copy.write_bytes(Path(BARY).read_bytes())
    copy.chmod(0o755)
    ended = subprocess.run([copy, "serve"], env={"PATH": "/nowhere"}, capture_output=True, text=True)
    assert ended.returncode == 78
    assert ended.stderr.startswith("bary: cannot run baryd: No such file or directory; ")
