"""No file that nobody builds, no function of a day's length."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from pathlib import Path

import pytest
import tree

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70


def test_every_c_file_is_built(build: Path) -> None:
    commands = json.loads((build / "compile_commands.json").read_text())
    built = {str(Path(c["directory"], c["file"]).resolve()) for c in commands}
    included = set(re.findall(r'#include "([^"]+\.c)"', "".join(map(tree.text, tree.having(".c", ".h")))))
    # fuzz targets need clang's libFuzzer: ./test --long builds them
    tree.report(
        [
            f"{path}: nobody builds it"
            for path in tree.having(".c")
            if str(tree.ROOT / path) not in built and path not in included and not path.startswith("tests/fuzz/")
        ]
    )


def length(path: str) -> int:
    """Lines of a file; of a Python file without its docstrings: the manual of a public class is no code."""
    lines = tree.text(path).count("\n")
    if not path.endswith(".py"):
        return lines
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    documented = [n for n in ast.walk(ast.parse(tree.text(path))) if isinstance(n, kinds) and ast.get_docstring(n)]
    return lines - sum((n.body[0].end_lineno or 0) - n.body[0].lineno + 1 for n in documented)


def test_files_are_short_enough_to_hold_one_noun() -> None:
    tree.report(
        [
            f"{path}: {lines} lines; {FILE_LINES_MAX} at most"
            for path in tree.having(".c", ".h", ".cu", ".cuh", ".py", ".sh")
            if (lines := length(path)) > FILE_LINES_MAX
        ]
    )


def c_functions(path: str) -> list[tuple[str, int, int]]:
    """Name, line and length of each function: its brace stands alone at the line's start, as clang-format puts it."""
    lines = tree.code(path).split("\n")
    out, start = [], None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line.startswith("}") and start is not None:
            head = re.search(r"(\w+)\s*\(", " ".join(lines[max(0, start - 6) : start - 1]).rsplit(";", 1)[-1])
            out.append((head.group(1) if head else "?", start, number - start + 1))
            start = None
    return out


def python_functions(path: str) -> list[tuple[str, int, int]]:
    """Length without the docstring: a page of promises is no code."""
    out = []
    for node in ast.walk(ast.parse(tree.text(path))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            out.append((node.name, node.lineno, (node.end_lineno or node.lineno) - first.lineno + 1))
    return out


def test_functions_fit_on_a_screen() -> None:
    found = [(p, f) for p in tree.having(".c", ".h") for f in c_functions(p)]
    found += [(p, f) for p in tree.having(".py") for f in python_functions(p)]
    tree.report(
        [
            f"{path}:{line}: {name} has {length} lines; {FUNCTION_LINES_MAX} at most"
            for path, (name, line, length) in found
            if length > FUNCTION_LINES_MAX
        ]
    )


# A library, and how the symbols begin that it must not want.
FOREIGN = {
    "kernels/libbary_kernels.a": r"(memory_|error_|table_|fit_|job_|grpc_|gpr_|protobuf_c|bary__v1|sqlite3_|EVP_|MHD_|json_)",
    "host/libbary_engine.a": r"(job_|dispatcher_|ledger_|metric|auth_|grpc_|gpr_|protobuf_c|bary__v1|sqlite3_|EVP_|SHA256_|MHD_|json_)",
    "host/libbary_service.a": r"(grpc_|gpr_|protobuf_c|bary__v1|google__|MHD_|json_)",
}


def symbols(library: Path) -> tuple[set[str], set[str]]:
    """What a library wants and does not have, and what it has."""
    wanted, held = set(), set()
    for line in subprocess.run(["nm", "-A", library], capture_output=True, text=True, check=True).stdout.splitlines():
        kind, name = line.split()[-2:]
        (wanted if kind == "U" else held if kind.isupper() else set()).add(name)
    return wanted - held, held


@pytest.mark.parametrize("library", FOREIGN)
def test_a_library_links_only_what_lies_left_of_it(library: str, build: Path) -> None:
    wanted, _ = symbols(build / library)
    order = list(FOREIGN)
    right = {name for other in order[order.index(library) + 1 :] for name in symbols(build / other)[1]}
    tree.report([f"{library} wants {name}" for name in sorted(wanted) if name in right or re.match(FOREIGN[library], name)])


def test_every_metric_is_counted_somewhere() -> None:
    """A row of metrics.def that nothing sets would show 0 for ever."""
    names = re.findall(r"^METRIC\((\w+)", tree.text("host/metrics/metrics.def"), re.M)
    code = "".join(map(tree.text, tree.having(".c")))
    tree.report([f"host/metrics/metrics.def: nothing sets {name}" for name in names if f"METRIC_{name}" not in code])
