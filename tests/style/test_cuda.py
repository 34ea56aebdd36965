"""Kernel files keep to what the emulator can run, and every PTX wrapper has its twin there."""

from __future__ import annotations

import re

import tree

REAL = "kernels/cuda/ptx.h"
TWIN = "tests/cuemu/shadow/kernels/cuda/ptx.h"
FUNCTION = re.compile(
    r"(?:template <([^>]*)>\s*)?static (?:__device__ __forceinline__|inline) ([\w ]+?[ *])(\w+)\(([^)]*(?:\([^)]*\)[^)]*)*)\)\s*\{"
)

# What a kernel file may not say, and why.
BANNED = (
    (r"<<<", "launches by cudaLaunchKernelEx: plain C++ to both compilers"),
    (r"\basm\b", f"PTX stands in {REAL}, with a twin"),
    (r"\b__shared__\b", "shared memory by block_shared<struct ...>()"),
    (r"\b__activemask\b|\b__(?:shfl|any|all|ballot)\s*\(", "lockstep is not promised: the _sync forms"),
    (r"\bvolatile\b", "atomics and fences order memory"),
    (r"__CUDA_ARCH__|__CUDACC__|__NVCC__", "one code path for every compiler and chip"),
    (r"\bcudaDeviceSynchronize\b|\bcudaMemcpy\s*\(|\bcudaDeviceReset\b|\bcudaMallocManaged\b", "only wait blocks"),
    (r"\bblockIdx\s*\.\s*[yz]\b|\bgridDim\s*\.\s*[yz]\b", "grid.x and a work loop: y and z end at 65,535"),
    (r"cooperative_groups|\bcub::|\bthrust::", "warp and block reductions are in block.h"),
)


def functions(path: str) -> dict[str, str]:
    """Each function of a header with its template, result and parameters; the place of a twin's caller left out."""
    found = {}
    for template, result, name, parameters in FUNCTION.findall(tree.code(path)):
        signature = f"{template or ''} {result} {parameters}".replace(", CUEMU_HERE", "").replace("CUEMU_HERE", "")
        found[name] = re.sub(r"\s+", " ", signature).replace("* ", "*").strip()
    return found


def test_every_ptx_wrapper_has_a_twin() -> None:
    real, twin = functions(REAL), functions(TWIN)
    assert "cp_async16" in real and "cp_async16" in twin
    # An address in the shared window is no instruction: only ptx.h itself asks for it.
    real = {name: signature for name, signature in real.items() if name != "shared_address"}
    tree.report(
        [f"{TWIN}: no twin of {name}" for name in real.keys() - twin.keys()]
        + [f"{TWIN}: {name} has no original in {REAL}" for name in twin.keys() - real.keys()]
        + [f"{TWIN}: {name} is ({twin[name]}), not ({real[name]})" for name in real.keys() & twin.keys() if real[name] != twin[name]]
    )


def test_kernel_files_say_nothing_the_emulator_cannot_run() -> None:
    tree.report(
        [
            f"{path}:{tree.line_of(tree.code(path), m.start())}: {m.group(0)} {why}"
            for path in tree.having(".cu", ".h", under=("kernels/cuda",))
            if path != REAL
            for pattern, why in BANNED
            for m in re.finditer(pattern, tree.code(path))
        ]
    )


def test_every_planted_bug_has_a_program() -> None:
    rows = [line.split("|") for line in tree.text("tests/cuemu/planted/matrix.txt").splitlines() if line[:1].isdigit()]
    findings = []
    for number, program, *_ in rows:
        path = f"tests/cuemu/planted/{program.strip()}.cu"
        if path not in tree.files():
            findings.append(f"tests/cuemu/planted/matrix.txt: bug {number.strip()} names {path}")
        elif not re.search(rf"BARY_PLANT [!=]= {number.strip()}\b", tree.text(path)):
            findings.append(f"{path}: bug {number.strip()} is not in it")
    planted = {
        int(number)
        for path in tree.having(".cu", under=("tests/cuemu/planted",))
        for number in re.findall(r"BARY_PLANT [!=]= (\d+)", tree.text(path))
    }
    listed = {int(number) for number, *_ in rows} | {15}  # the canary has claims of its own
    findings += [f"tests/cuemu/planted: bug {number} is in no row" for number in sorted(planted - listed)]
    tree.report(findings)
