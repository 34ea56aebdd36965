"""The worked example on real data, and every example in the docstrings and the README."""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import re
import runpy
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans as Theirs

import bary
from conftest import ROOT

CLIENT = ROOT / "clients" / "python"
EXAMPLE = CLIENT / "examples" / "segmentation.py"
MODULES = [m.name for m in pkgutil.iter_modules(bary.__path__, "bary.") if "__" not in m.name]


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("name", ["bary", *MODULES])
def test_docstring_examples_hold(name: str) -> None:
    flags = doctest.NORMALIZE_WHITESPACE
    assert doctest.testmod(importlib.import_module(name), optionflags=flags).failed == 0


@pytest.mark.usefixtures("server")
def test_readme_examples_hold() -> None:
    flags = doctest.NORMALIZE_WHITESPACE
    readme = str(CLIENT / "README.md")
    assert doctest.testfile(readme, module_relative=False, optionflags=flags).failed == 0


def test_readme_lists_every_error() -> None:
    text = (CLIENT / "README.md").read_text()
    listed = set(re.findall(r"^\| `(\w+Error)`", text, re.MULTILINE))
    assert listed == {name for name in bary.errors.__all__ if name.endswith("Error")}


# Run once, not once in each of several processes.
one_run = pytest.mark.xdist_group("example")


@pytest.fixture(scope="module")
def ran(server: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, float]:
    """What the example printed, where it wrote, how long it took."""
    out = tmp_path_factory.mktemp("segmentation")
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), "--out", str(out)],
        env={k: v for k, v in os.environ.items() if k != "BARY_ADDRESS"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout, out, time.monotonic() - start


@one_run
def test_the_example_writes_all_it_promises(ran: tuple[str, Path, float]) -> None:
    said, out, _ = ran
    made = {path.name for path in out.iterdir()}
    assert made == {"scatter.png", "elbow.png", "profile.csv", "labels.csv", "report.html"}
    assert said.strip().splitlines()[-1].startswith(f"Pictures, tables and report are in {out}")
    for line in ("read", "no customer", "cancellations", "exact repeats", "outliers"):
        assert line in said


@one_run
def test_the_report_needs_no_other_file(ran: tuple[str, Path, float]) -> None:
    page = (ran[1] / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "10.24432/C5BW33" in page


@one_run
def test_the_example_finds_what_scikit_learn_finds(ran: tuple[str, Path, float]) -> None:
    example = runpy.run_path(str(EXAMPLE))
    lines = example["clean"](example["read"](example["DATA"]), example["Steps"]([]))
    rfm = example["customers"](lines)
    X = example["features"](rfm).to_numpy()
    labels = pd.read_csv(ran[1] / "labels.csv", index_col="CustomerID")["cluster"]
    assert labels.index.tolist() == rfm.index.tolist()
    init = X[np.random.default_rng(42).choice(len(X), 5, replace=False)]
    ours = bary.KMeans(5, init=init).fit(X)
    theirs = Theirs(5, init=init, n_init=1).fit(X)
    assert np.array_equal(ours.labels_, theirs.labels_)
    assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=1e-9)
    # The example's own answer is a fixed point of scikit-learn's rounds.
    own = np.array([X[labels == cluster].mean(axis=0) for cluster in range(5)])
    again = Theirs(5, init=own, n_init=1).fit(X)
    assert np.array_equal(again.labels_, labels.to_numpy())
    assert again.inertia_ <= Theirs(5, n_init=10, random_state=42).fit(X).inertia_ * 1.01
    profile = pd.read_csv(ran[1] / "profile.csv", header=[0, 1], index_col=0)
    counts = np.bincount(labels)
    assert profile["rows", "count"].tolist() == counts.tolist()
    assert np.allclose(
        profile["monetary", "median"], rfm["monetary"].groupby(labels.to_numpy()).median()
    )
