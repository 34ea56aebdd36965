"""What is typed wrongly is answered with one sentence and a status that says whose fault it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, Command, blobs


def test_the_reference_page_is_what_the_tables_say(bary: Command) -> None:
    assert bary.ok("help", "--markdown").out == (ROOT / "docs/cli.md").read_text()


def test_every_command_explains_itself(bary: Command) -> None:
    page = bary.ok("help", "--markdown").out
    names = [line[len("## bary ") :] for line in page.splitlines() if line.startswith("## bary ")]
    assert len(names) > 15
    for name in names:
        if name == "serve":
            continue
        text = bary.ok(*name.split(), "--help").out
        assert text.startswith(f"bary {name}")
        assert bary.ok("help", *name.split()).out == text


def test_without_words_all_commands_are_listed(bary: Command) -> None:
    assert "bary jobs cancel" in bary.ok().out
    assert bary.ok("--help").out == bary.ok().out == bary.ok("help").out


def test_a_group_lists_its_commands(bary: Command) -> None:
    assert bary.ok("jobs").out.count("bary jobs ") == 5
    assert bary.ok("models", "--help").out.count("bary models ") == 3


def test_the_version_is_one_line(bary: Command) -> None:
    assert bary.ok("version").out == bary.ok("--version").out
    assert bary.ok("version").out.startswith("bary 0.")


SLIPS = [
    (["fitt"], "there is no command 'fitt'; did you mean 'bary fit'?"),
    (["xyzzyxyzzy"], "there is no command 'xyzzyxyzzy'; bary help lists them"),
    (["jobs", "lst"], "there is no command 'jobs lst'; did you mean 'bary jobs list'?"),
    (["fit", "--n-cluster", "3"], "bary fit has no flag --n-cluster; did you mean --n-clusters?"),
    (["fit", "--max-itr=3"], "bary fit has no flag --max-itr; did you mean --max-iter?"),
    (["fit", "--zzzzzzzz"], "bary fit has no flag --zzzzzzzz; bary help fit lists them"),
    (["fit", "-k", "3"], "there is no flag '-k'; flags begin with --"),
    (["fit"], "bary fit needs a file: bary fit X.npy"),
    (["fit", "--n-clusters"], "--n-clusters needs a value: --n-clusters K"),
    (["fit", "--n-clusters", "0"], "--n-clusters is '0'; it must be a whole number from 1 to 1048576"),
    (["fit", "--n-clusters", "3x"], "--n-clusters is '3x'; it must be a whole number from 1 to 1048576"),
    (["fit", "--n-init", "many"], "--n-init is 'many'; it must be auto or a whole number from 1 to 10000"),
    (["fit", "--tol", "-1"], "--tol is '-1'; it must be a number from 0 to 1e+300"),
    (["fit", "--tol", "nan"], "--tol is 'nan'; it must be a number from 0 to 1e+300"),
    (["fit", "--random-state", "-1"], "--random-state is '-1'; it must be a whole number from 0 to 18446744073709551615"),
    (["fit", "--non-finite", "drop"], "--non-finite is 'drop'; it must be one of reject|skip"),
    (["fit", "--json=yes"], "--json takes no value"),
    (["fit", "--labels", ""], "--labels is empty"),
    (["fit", "--json", "--json"], "--json is given twice"),
    (["fit", *["--tag", "t"] * 17], "--tag is given more than 16 times"),
    (["fit", "a.npy", "b.npy"], "bary fit does not know what to do with 'b.npy'"),
    (["fit", "a.npy", "--dataset", "d"], "give a file or --dataset, not both"),
    (["fit", "a.npy", "--local", "--model", "m"], "--local and --model do not go together"),
    (["fit", "a.npy", "--detach", "--labels", "l.npy"], "--detach and --labels do not go together"),
    (["fit", "a.npy", "--model-out", "m"], "--model-out goes with --local;..."),
    (["predict", "a.npy", "--labels", "l.npy"], "bary predict needs --model NAME|FILE"),
    (["predict", "a.npy", "--model", "m"], "bary predict needs --labels OUT.npy or --distances OUT.npy"),
    (["datasets", "get"], "bary datasets get needs NAME"),
    (["jobs", "cancel"], "bary jobs cancel needs a job's name or --tag T"),
]


@pytest.mark.parametrize(("words", "sentence"), SLIPS, ids=[" ".join(words)[:40] for words, _ in SLIPS])
def test_a_slip_is_named(bary: Command, words: list[str], sentence: str) -> None:
    bary.refused(2, sentence, *words)


def test_flags_may_stand_before_the_command(bary: Command, folder: Path) -> None:
    np.save(folder / "x.npy", blobs())
    words = ["--n-clusters", 3, "--random-state", 1]
    after = bary.ok("fit", "x.npy", "--local", "--json", *words).json()
    before = bary.ok("--json", "--local", *words, "fit", "x.npy").json()
    assert before["fit"] == after["fit"]


def test_files_that_are_not_there_or_no_arrays_are_bad_input(bary: Command, folder: Path) -> None:
    (folder / "text.npy").write_text("1,2,3\n")
    (folder / "empty.npy").write_bytes(b"")
    np.save(folder / "x.npy", blobs())
    np.save(folder / "cube.npy", np.zeros((2, 2, 2)))
    np.save(folder / "words.npy", np.array(["a", "b"]))
    whole = (folder / "x.npy").read_bytes()
    (folder / "short.npy").write_bytes(whole[:-1])
    bary.refused(2, "cannot open 'none.npy': No such file or directory", "fit", "none.npy", "--local")
    for name in ("text", "empty", "cube", "words", "short"):
        bary.refused(2, f"{name}.npy is malformed at byte ...", "fit", f"{name}.npy", "--local")
        bary.refused(2, f"{name}.npy is malformed at byte ...", "fit", f"{name}.npy")


def test_inputs_that_do_not_fit_each_other_are_named(bary: Command, folder: Path) -> None:
    np.save(folder / "x.npy", blobs(100, 3))
    np.save(folder / "w.npy", np.ones(99))
    np.save(folder / "c.npy", np.zeros((4, 2)))
    words = ["fit", "x.npy", "--local"]
    bary.refused(2, "w.npy has 99 rows and 1 columns; it must have 100 rows and 1 columns", *words, "--sample-weight", "w.npy")
    bary.refused(2, "c.npy has 4 rows and 2 columns; it must have 4 rows and 3 columns", *words, "--init", "c.npy")
    bary.refused(2, "--init is kmeans++; known are k-means++, random and a .npy file", *words, "--init", "kmeans++")
    bary.refused(2, "x.npy has 100 rows that take part; n_clusters=101 needs at least that many", *words, "--n-clusters", 101)


def test_outputs_are_checked_before_the_work(bary: Command, folder: Path) -> None:
    np.save(folder / "x.npy", blobs())
    for flag in ("--labels", "--centers", "--model-out"):
        bary.refused(
            2,
            "cannot open 'no/such/y.npy': its folder cannot be written to",
            *["fit", "x.npy", "--local", flag, "no/such/y.npy"],
        )


def test_a_failed_fit_leaves_no_file(bary: Command, folder: Path) -> None:
    x = blobs()
    x[7, 1] = np.nan
    np.save(folder / "x.npy", x)
    bary.refused(
        2,
        "x.npy has 1 non-finite values; the first is nan at row 7, column 1",
        *["fit", "x.npy", "--local", "--labels", "l.npy", "--model-out", "m.bary"],
    )
    assert sorted(p.name for p in folder.iterdir()) == ["x.npy"]


def test_json_carries_the_error_too(bary: Command, folder: Path) -> None:
    ended = bary("fit", "none.npy", "--local", "--json")
    assert ended.code == 2
    assert ended.json()["error"]["reason"] == "FILE_NOT_FOUND"
    assert ended.json()["error"]["metadata"]["path"] == "none.npy"
    assert ended.error == f"bary: {ended.json()['error']['message']}\n"


def test_no_server_is_69_and_says_why(bary: Command) -> None:
    bary.refused(69, "no server answers at '127.0.0.1:1': Connection refused", "server")
    bary.refused(69, "no server answers at 'unix:/no/such.sock': No such file or directory", "server", "--address=unix:/no/such.sock")
    for address in ("nonsense", "host:", "host:99999", ":7", "http://a:1", "unix:"):
        bary.refused(2, f"the server's address is {address}; it must be HOST:PORT or unix:PATH", "server", "--address", address)
