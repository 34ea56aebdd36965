"""What nvcc and the linker made of the plug-in: what it needs, shows and answers, and its machine code."""

from __future__ import annotations

import ctypes
import difflib
import re
import subprocess
from pathlib import Path

import pytest
from code_pages import compiler, resources_page, sass_page
from conftest import ROOT

NEEDED = re.compile(r"^(libc|libm|libstdc\+\+|libgcc_s|ld-linux-[\w-]+)\.so\.\d+$")


def said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def page_is(name: str, page: str, plugin: Path) -> None:
    """The page in perf/gpu is this one; where another nvcc wrote it, nothing can be said."""
    kept = (ROOT / "perf" / "gpu" / name).read_text()
    written = re.match(r"# nvcc ([\d.]+):", kept)
    assert written, f"perf/gpu/{name} does not say which nvcc wrote it"
    if written[1] != compiler(str(plugin)):
        pytest.skip(f"perf/gpu/{name} is of nvcc {written[1]}, this is {compiler(str(plugin))}")
    changed = list(difflib.unified_diff(kept.splitlines(), page.splitlines(), name, "now", n=0, lineterm=""))
    if changed:
        pytest.fail("\n".join([*changed, "print it anew: perf/gpu/code_pages.py --help"]), pytrace=False)


def test_it_needs_nothing_but_the_c_and_cpp_runtime(plugin: Path) -> None:
    needed = re.findall(r"\(NEEDED\).*\[(.+)\]", said("readelf", "-d", str(plugin)))
    assert needed
    assert [name for name in needed if not NEEDED.match(name)] == []


def test_it_shows_one_symbol(plugin: Path) -> None:
    lines = said("nm", "-D", "--defined-only", str(plugin)).splitlines()
    assert [line.split()[-1] for line in lines] == ["bary_plugin"]


class Refusal(ctypes.Structure):
    _fields_ = (("reason", ctypes.c_int), ("text", ctypes.c_char * 192))


class Table(ctypes.Structure):
    """The first members of struct backend."""

    _fields_ = (
        ("abi", ctypes.c_uint32),
        ("bytes", ctypes.c_uint32),
        ("name", ctypes.c_char_p),
        ("build", ctypes.c_char_p),
        ("devices", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(Refusal))),
    )


def table_of(plugin: Path, abi: int) -> Table | None:
    library = ctypes.CDLL(str(plugin))
    library.bary_plugin.restype = ctypes.POINTER(Table)
    table = library.bary_plugin(ctypes.c_uint32(abi))
    return table.contents if table else None


def abi_now() -> int:
    header = (ROOT / "kernels" / "backend.h").read_text()
    match = re.search(r"BACKEND_ABI = (\d+)", header)
    assert match
    return int(match[1])


def test_another_abi_gets_no_table(plugin: Path) -> None:
    assert table_of(plugin, abi_now() + 1) is None
    table = table_of(plugin, abi_now())
    assert table is not None
    assert table.abi == abi_now()
    assert table.name == b"cuda"
    assert re.fullmatch(rb"cuda \d+\.\d+; 80-real .*", table.build)


def test_without_a_driver_it_says_so(plugin: Path) -> None:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        pass
    else:
        pytest.skip("this machine has a driver")
    table = table_of(plugin, abi_now())
    assert table is not None
    why = Refusal()
    assert table.devices(None, 0, ctypes.byref(why)) == 0
    reasons = (ROOT / "proto" / "device_reason.def").read_text()
    match = re.search(r"DEVICE_REASON\(NO_DRIVER, (\d+),", reasons)
    assert match
    assert why.reason == int(match[1])
    assert why.text.startswith(b"no NVIDIA driver answers: code 35, ")


def test_registers_and_shared_memory_are_as_reviewed(plugin: Path, lister: str) -> None:
    page_is("resources.txt", resources_page(str(plugin), lister), plugin)


def test_instructions_are_as_reviewed(plugin: Path) -> None:
    page = sass_page(str(plugin))
    rows = [line.split() for line in page.splitlines() if re.search(r" sm_\d", line)]
    assert rows
    counted = {(" ".join(row[:-8]), row[-8]): [int(n) for n in row[-7:]] for row in rows}
    # A filter may contract (its error bound covers it); nothing else is in fp32, and nothing spills.
    filters = re.compile(r"^(certify|gemm|shadow)")
    assert [k for k, n in counted.items() if n[1] and not filters.match(k[0])] == []
    assert [k for k, n in counted.items() if n[4] or n[5]] == []
    chains = [k for k, n in counted.items() if re.match(r"assign +assign_kernel", k[0]) and n[0] == 0]
    assert chains == []
    page_is("sass.txt", page, plugin)
