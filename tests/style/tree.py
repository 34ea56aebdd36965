"""The files of the project, read once, for the style tests."""

from __future__ import annotations

import functools
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = ("proto", "kernels", "host", "rpc", "clients")


@functools.cache
def files() -> tuple[str, ...]:
    """Every file that is committed or would be, as a path from the root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return tuple(sorted(f for f in listed.split("\0") if f and (ROOT / f).is_file()))


def having(*suffixes: str, under: tuple[str, ...] = ()) -> list[str]:
    """The files that end in one of the suffixes, below one of the folders (none: anywhere)."""
    folders = tuple(folder + "/" for folder in under)
    return [f for f in files() if f.endswith(suffixes) and (not folders or f.startswith(folders))]


@functools.cache
def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def _blank(match: re.Match[str]) -> str:
    token = match.group(0)
    if token.startswith("/"):
        return re.sub(r"[^\n]", " ", token)
    return token[0] + " " * (len(token) - 2) + token[-1]


@functools.cache
def code(path: str) -> str:
    """A C file with its comments and the insides of its strings blanked; lines keep their numbers."""
    return _TOKEN.sub(_blank, text(path))


def line_of(source: str, offset: int) -> int:
    return source.count("\n", 0, offset) + 1


@functools.cache
def build_folder() -> Path | None:
    """Where compile_commands.json and the libraries lie: BARY_BUILD, else build/dev."""
    folder = Path(os.environ.get("BARY_BUILD", ROOT / "build" / "dev"))
    return folder if (folder / "compile_commands.json").is_file() else None


def report(findings: list[str]) -> None:
    """Fails with one finding a line."""
    if findings:
        pytest.fail("\n".join(findings), pytrace=False)
