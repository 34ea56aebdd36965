"""Calls that have no place here, each with where it may stand and why."""

from __future__ import annotations

import re

import pytest
import tree

ANYWHERE: tuple[str, ...] = ()
LIBRARIES = ("kernels/", "host/", "clients/c/")
HOUSE = ("proto/", "kernels/", "host/", "rpc/")

# calls, folders they are banned in (none: all), files they may stand in, why
BANNED = (
    (r"strcpy|strcat|stpcpy|sprintf|vsprintf|gets|strtok", ANYWHERE, (), "writes past its buffer: snprintf"),
    (r"alloca|__builtin_alloca", ANYWHERE, (), "takes the stack: the arena"),
    (r"rand|srand|rand_r|random|drand48", ANYWHERE, (), "is not ours: philox, or check_random in tests"),
    (r"atoi|atol|atof", ANYWHERE, (), "hides errors: strtoll, strtod"),
    (r"system|popen|tmpnam|mktemp", (*HOUSE, "clients/"), (), "runs or names what it must not"),
    (r"time|gettimeofday|clock_gettime|localtime|gmtime|clock", HOUSE, ("host/base/clock.c",), "reads a clock: host/base/clock.h"),
    (r"printf|puts|putchar|vprintf", LIBRARIES, (), "prints: log_line"),
    (r"fprintf|fputs|perror", LIBRARIES, ("host/base/log.c", "host/base/fault.c"), "prints: log_line"),
)


# Where a process may end below main: injected kills, and a second Ctrl-C in a signal handler.
ENDS = ("host/base/fault.c", "clients/cli/say.c")


def found(pattern: str) -> re.Pattern[str]:
    """A call by its bare name: no member, no longer name, no declaration of ours."""
    return re.compile(rf"(?<![\w.>])(?:{pattern})\s*\(")


@pytest.mark.parametrize(("calls", "folders", "allowed", "why"), BANNED, ids=[row[0].split("|")[0] for row in BANNED])
def test_banned_call(calls: str, folders: tuple[str, ...], allowed: tuple[str, ...], why: str) -> None:
    pattern = found(calls)
    tree.report(
        [
            f"{path}:{tree.line_of(tree.code(path), m.start())}: {m.group(0)}) {why}"
            for path in tree.having(".c", ".h", ".cu", ".cuh")
            if path not in allowed and (not folders or path.startswith(folders))
            for m in pattern.finditer(tree.code(path))
        ]
    )


def test_exit_stands_beside_main_alone() -> None:
    """Fault injection ends the process on purpose; a child after fork must use _exit."""
    pattern = found(r"exit|_exit|quick_exit")
    tree.report(
        [
            f"{path}:{tree.line_of(tree.code(path), m.start())}: {m.group(0)}) below main"
            for path in tree.having(".c", ".h", ".cu", ".cuh", under=tree.LIBRARIES)
            if path not in ENDS and not re.search(r"^int main\(", tree.code(path), re.MULTILINE)
            for m in pattern.finditer(tree.code(path))
        ]
    )


def test_only_try_hides_a_jump() -> None:
    """A macro with a goto or a return is a trap for readers; TRY is the one we all know."""
    pattern = re.compile(r"^#define (\w+)((?:[^\n]*\\\n)*[^\n]*)", re.MULTILINE)
    tree.report(
        [
            f"{path}:{tree.line_of(tree.code(path), m.start())}: {m.group(1)} hides a jump"
            for path in tree.having(".c", ".h", ".cu", ".cuh", under=tree.LIBRARIES)
            for m in pattern.finditer(tree.code(path))
            if m.group(1) != "TRY" and re.search(r"\bgoto\b", m.group(2))
        ]
    )
