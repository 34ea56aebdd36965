"""Runs a planted program under the orders of a build and says whether the bug was caught, or the right code silent.

plant.py BUILD caught KINDS PROGRAM [ARGUMENT...]   some order must show the bug, in one of KINDS (a/b)
plant.py BUILD silent PROGRAM [ARGUMENT...]         no order may show anything
"""

from __future__ import annotations

import os
import subprocess
import sys

RANDOM = {"CUEMU_ORDER": "random"}
SEEDS = {"emu": 3, "asan": 2, "tsan": 4}
TSAN_OPTIONS = "halt_on_error=1 exitcode=66 ignore_noninstrumented_modules=1 atexit_sleep_ms=0"


def orders(build: str) -> list[dict[str, str]]:
    """The environments a build runs under, the likeliest to show a bug first."""
    seeds = [{**RANDOM, "CUEMU_SEED": str(seed + 1)} for seed in range(SEEDS[build])]
    if build == "tsan":
        return [*seeds, {}]
    lazy = [{**seed, "CUEMU_LAZY": "1"} for seed in seeds]
    if build == "asan":
        return seeds + lazy
    more = [{**seed, "CUEMU_RESIDENT": "3", "CUEMU_YIELD": "1"} for seed in seeds]
    return [{}, {"CUEMU_ORDER": "down"}, *seeds, *lazy, *more]


def kind(code: int, said: str) -> str:
    """How a run ended: fine, or in which way a bug showed."""
    known = {0: "fine", 66: "race", 97: "check", 98: "deadlock"}
    if code in known:
        return known[code]
    if "Sanitizer" in said or "runtime error" in said:
        return "address"
    return "wrong" if code == 1 and "wrong:" in said else f"exit {code}"


def run(program: list[str], order: dict[str, str]) -> tuple[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CUEMU_")}
    environment = {**clean, "TSAN_OPTIONS": TSAN_OPTIONS, **order}
    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=100, check=False)
    said = done.stdout + done.stderr
    return kind(done.returncode, said), said


def caught(build: str, kinds: str, program: list[str]) -> str | None:
    seen = []
    for order in orders(build):
        how, _ = run(program, order)
        if how in kinds.split("/"):
            print(f"caught: {how} with {order or 'the plain order'}")
            return None
        seen.append(how)
    return f"not caught as {kinds}: {', '.join(seen)}"


def silent(build: str, program: list[str]) -> str | None:
    for order in orders(build):
        how, said = run(program, order)
        if how != "fine":
            return f"{how} with {order}\n{said}"
    return None


def main() -> None:
    build, claim, *rest = sys.argv[1:]
    failure = caught(build, rest[0], rest[1:]) if claim == "caught" else silent(build, rest)
    sys.exit(failure)


main()
