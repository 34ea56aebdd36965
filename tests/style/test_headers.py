"""Every header compiles alone; those that strangers include, as C++17 too."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tree

WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]
PUBLIC = ("host/bary.h", "clients/c/baryc.h")


def alone(command: list[str], header: str, build: Path) -> str | None:
    """The compiler's first words about a file that includes the header and nothing else."""
    said = subprocess.run(
        [*command, *WARNINGS, f"-I{tree.ROOT}", f"-isystem{build / 'proto' / 'generated'}", "-fsyntax-only", "-"],
        input=f'#include "{header}"\n',
        capture_output=True,
        text=True,
        cwd=tree.ROOT,
        check=False,
    )
    return None if said.returncode == 0 else f"{header}: {said.stderr.strip()[:400]}"


def failures(command: list[str], headers: list[str], build: Path) -> list[str]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [found for found in pool.map(lambda h: alone(command, h, build), headers) if found]


def test_every_header_compiles_alone(build: Path) -> None:
    # The CUDA headers need nvcc; the harness is itself a part of programs.
    headers = [h for h in tree.having(".h", under=(*tree.LIBRARIES, "tests")) if "/cuda/" not in h and "/cuemu/" not in h]
    command = ["gcc", "-x", "c", "-std=gnu17", "-march=x86-64-v3" if os.uname().machine == "x86_64" else "-O1"]
    tree.report(failures([*command, "-D_GNU_SOURCE", '-DBARY_VERSION="0"'], headers, build))


def test_public_headers_compile_as_cxx17(build: Path) -> None:
    headers = [h for h in PUBLIC if h in tree.files()]
    assert headers
    tree.report(failures(["g++", "-x", "c++", "-std=c++17"], headers, build))


def test_every_header_guards_itself() -> None:
    findings = []
    for path in tree.having(".h", ".cuh"):
        guard = "BARY_" + path.removesuffix(".cuh").removesuffix(".h").replace("/", "_").replace("-", "_").upper()
        if not {f"#ifndef {guard}_H", f"#ifndef {guard}_CUH"} & set(tree.text(path).splitlines()):
            findings.append(f"{path}: no include guard {guard}_H")
    tree.report(findings)
