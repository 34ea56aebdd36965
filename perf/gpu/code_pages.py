#!/usr/bin/env python3
"""What nvcc made of the kernels: registers of each kernel on each architecture, instructions that must or must
not be there. Prints the two pages that perf/gpu/ keeps, so that a change is a diff in review.

    python perf/gpu/code_pages.py resources PLUGIN KERNELS > perf/gpu/resources.txt
    python perf/gpu/code_pages.py sass PLUGIN > perf/gpu/sass.txt

PLUGIN is libbary_cuda.so; KERNELS the program tests/cuda/cuda_kernels. cuobjdump and nvdisasm come from PyPI
(tests/requirements.txt); no card and no CUDA toolkit is needed to read.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

# An instruction of interest, and its opcodes. A wide load moves 16 bytes.
INSTRUCTIONS = {
    "DFMA": re.compile(r"DFMA\b"),
    "FFMA": re.compile(r"FFMA\b"),
    "HMMA": re.compile(r"HMMA\b"),
    "wide": re.compile(r"(?:LDG|LDS|LDGSTS)\b\S*\.128\b"),
    "LDL": re.compile(r"LDL\b"),
    "STL": re.compile(r"STL\b"),
    "CAS": re.compile(r"ATOM[SG]?\S*\.CAS\b"),
}
LOOKED_AT = ("sm_80", "sm_90a")  # SASS of the rest says the same and takes as long again
OPCODE = re.compile(r"^\s+/\*[0-9a-f]+\*/\s+(?:@\S+\s+)?([A-Z]\S+)\s*([^;]*)")
ARCHITECTURE = re.compile(r"^arch = (sm_\w+)")
SOURCE = re.compile(r"^identifier = .*/(\w+)\.cu")
RESOURCES = re.compile(r"^ Function (\w+):")
FUNCTION = re.compile(r"^\s+Function : (\w+)")
REGISTERS = re.compile(r"REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)")
SYSTEM_SHARED = "1024"  # what each block has for the system since sm_90


def tools() -> Path:
    """The folder of cuobjdump and nvdisasm beside the Python that runs."""
    for folder in map(Path, sys.path):
        found = sorted(folder.glob("nvidia/*/bin/cuobjdump"))
        if found:
            return found[-1].parent
    raise SystemExit("cuobjdump is not installed: pip install nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm")


def dump(plugin: str, *what: str) -> Iterator[str]:
    """The lines that cuobjdump prints."""
    folder = tools()
    command = [str(folder / "cuobjdump"), *what, plugin]
    environment = {**os.environ, "PATH": f"{folder}:{os.environ.get('PATH', '')}"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        yield from process.stdout
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")


def names(symbols: set[str]) -> dict[str, str]:
    """A kernel's name as its source has it: facts_kernel<float, 4>."""
    ordered = sorted(symbols)
    said = subprocess.run(["c++filt", "-p"], input="\n".join(ordered), capture_output=True, text=True, check=True)
    return dict(zip(ordered, said.stdout.splitlines(), strict=True))


def registers(plugin: str) -> dict[tuple[str, str, str], str]:
    """Registers by architecture, file and symbol. Stack, static shared and local memory have no place here."""
    found: dict[tuple[str, str, str], str] = {}
    architecture = source = symbol = ""
    for line in dump(plugin, "--dump-resource-usage"):
        if match := ARCHITECTURE.match(line):
            architecture = match[1]
        elif match := SOURCE.match(line):
            source = match[1]
        elif match := RESOURCES.match(line):
            symbol = match[1]
        elif (match := REGISTERS.search(line)) and symbol:
            stack, shared, local = match.groups()[1:]
            if stack != "0" or local != "0" or shared not in ("0", SYSTEM_SHARED):
                raise SystemExit(f"{symbol} on {architecture} uses stack, static shared or local memory: {line.strip()}")
            found[architecture, source, symbol] = match[1]
    return found


@functools.cache
def interest(opcode: str) -> tuple[str, ...]:
    return tuple(name for name, spelled in INSTRUCTIONS.items() if spelled.match(opcode))


def instructions(plugin: str) -> dict[tuple[str, str, str], Counter[str]]:
    """How often each instruction of interest stands in a kernel."""
    found: dict[tuple[str, str, str], Counter[str]] = {}
    source = ""
    counts: Counter[str] = Counter()
    for architecture in LOOKED_AT:
        for line in dump(plugin, "--gpu-architecture", architecture, "--dump-sass"):
            if match := OPCODE.match(line):
                # A product with RZ is no contraction: fp64 division looks at an exponent so.
                if match[1] != "FFMA" or "RZ" not in match[2]:
                    counts.update(interest(match[1]))
            elif match := SOURCE.match(line):
                source = match[1]
            elif match := FUNCTION.match(line):
                counts = found.setdefault((architecture, source, match[1]), Counter())
    return found


def compiler(plugin: str) -> str:
    """nvcc's version, as the plug-in's table tells it."""
    match = re.search(rb"cuda (\d+\.\d+); ", Path(plugin).read_bytes())
    if not match:
        raise SystemExit(f"{plugin} names no CUDA version")
    return match[1].decode()


def arranged(keys: list[tuple[str, str, str]]) -> tuple[list[str], list[tuple[str, str, str]]]:
    """Architectures in the order of their numbers; kernels as (file, name, symbol), by file and name."""
    architectures = sorted({key[0] for key in keys}, key=lambda a: int(re.findall(r"\d+", a)[0]))
    spoken = names({key[2] for key in keys})
    kernels = sorted({(source, spoken[symbol], symbol) for _, source, symbol in keys})
    return architectures, kernels


def resources_page(plugin: str, kernels_program: str) -> str:
    found = registers(plugin)
    architectures, kernels = arranged(list(found))
    lines = [f"# nvcc {compiler(plugin)}: registers a thread, by file and kernel; printed by perf/gpu/code_pages.py", ""]
    lines.append(f"{'file':<14}{'kernel':<44}" + "".join(f"{a:>9}" for a in architectures))
    for source, name, symbol in kernels:
        row = "".join(f"{found.get((a, source, symbol), '-'):>9}" for a in architectures)
        lines.append(f"{source:<14}{name:<44}{row}")
    lines += ["", "# Threads of a block, blocks of a processor that registers must leave room for, bytes of shared memory", ""]
    lines += subprocess.run([kernels_program], capture_output=True, text=True, check=True).stdout.splitlines()
    return "\n".join(lines) + "\n"


def sass_page(plugin: str) -> str:
    found = instructions(plugin)
    architectures, kernels = arranged(list(found))
    lines = [f"# nvcc {compiler(plugin)}: instructions of each kernel; wide: loads of 16 bytes; printed by perf/gpu/code_pages.py", ""]
    lines.append(f"{'file':<14}{'kernel':<44}{'':<9}" + "".join(f"{i:>6}" for i in INSTRUCTIONS))
    for source, name, symbol in kernels:
        for architecture in architectures:
            counts = found.get((architecture, source, symbol), Counter())
            row = "".join(f"{counts[i]:>6}" for i in INSTRUCTIONS)
            lines.append(f"{source:<14}{name:<44}{architecture:<9}{row}")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    if len(arguments) == 3 and arguments[0] == "resources":
        sys.stdout.write(resources_page(arguments[1], arguments[2]))
    elif len(arguments) == 2 and arguments[0] == "sass":
        sys.stdout.write(sass_page(arguments[1]))
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
