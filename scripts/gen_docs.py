#!/usr/bin/env python3
"""Writes the parts of the pages that are data elsewhere: errors, metrics, limits, configuration, protocol.

A page holds a line `<!-- generated: NAME -->` and, further down, `<!-- end -->`; what lies between is
written by this program. Standard library alone.

    scripts/gen_docs.py           rewrites the pages
    scripts/gen_docs.py --check   changes nothing; says which page is stale and ends with 1
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from protos import Enum, Message, Service, read_protos

ROOT = Path(__file__).resolve().parents[1]
PART = re.compile(r"(<!-- generated: ([\w/.]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def rows_of(path: str, macro: str) -> list[list[str]]:
    """The arguments of each MACRO(...) of a table; text arguments without their quotes, adjacent ones joined."""
    words = re.sub(r"/\*.*?\*/", "", (ROOT / path).read_text(), flags=re.DOTALL)
    words = re.sub(r"\\\n", "\n", words)
    out = []
    for match in re.finditer(rf'^\s*{macro}\(((?:[^()"]|"(?:\\.|[^"\\])*"|\([^()]*\))*)\)', words, re.MULTILINE):
        cells = re.findall(r'((?:"(?:\\.|[^"\\])*"\s*)+|(?:[^,"()]|\([^()]*\))+)(?:,|$)', match.group(1).strip())
        out.append(["".join(re.findall(r'"((?:\\.|[^"\\])*)"', c)) if '"' in c else c.strip() for c in cells])
    return out


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; bars in cells are escaped."""
    lines = ["| " + " | ".join(head) + " |"]
    lines.append("|" + "---|" * lines[0].count(" | ") + "---|")
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def code(word: str) -> str:
    return f"`{word}`" if word else ""


def errors() -> str:
    rows = [r for r in rows_of("proto/status.def", "STATUS") if r[0] != "OK"]
    return table(
        ("reason", "number", "gRPC code", "try again", "sentence"),
        ((code(name), number, grpc, "later" if retry == "LATER" else "no", text) for name, number, grpc, retry, text in rows),
    )


def metrics() -> str:
    rows = rows_of("host/metrics/metrics.def", "METRIC")
    return table(
        ("metric", "type", "labels", "what it tells"),
        ((code(f"bary_{name}"), kind.lower(), ", ".join(map(code, labels.split(","))), text) for name, kind, labels, text in rows),
    )


def limits() -> str:
    rows = rows_of("proto/limits.h", "LIMIT")
    return table(
        ("key of `[limits]`", "default", "range", "unit", "what it bounds"),
        ((code(name), preset, f"{least} .. {most}", unit, text) for name, preset, least, most, unit, text in rows),
    )


def fixed_limits() -> str:
    words = (ROOT / "proto/limits.h").read_text()
    found = re.findall(r"^#define ([A-Z_]+_(?:MAX|MIN|DEFAULT)) (.+)$", words, re.MULTILINE)
    return table(("constant", "value"), ((code(name), f"{fixed_value(value):,}") for name, value in found))


def fixed_value(expression: str) -> int:
    """The value of `((int64_t)1 << 40)`, `(4 << 20)`, `4096`."""
    shift = re.fullmatch(r"\(?(?:\(int64_t\))?\(?(\d+)\)?(?: << (\d+))?\)?", expression.strip())
    if not shift:
        sys.exit(f"gen_docs: proto/limits.h: cannot read the value {expression!r}")
    return int(shift.group(1)) << int(shift.group(2) or 0)


def device_reasons() -> str:
    rows = [r for r in rows_of("proto/device_reason.def", "DEVICE_REASON") if r[0] != "NONE"]
    return table(("reason", "number", "what to do"), ((code(name), number, advice) for name, number, advice in rows))


def configuration() -> str:
    rows = rows_of("rpc/config.def", "CONFIG")
    return table(
        ("section", "key", "type", "default", "reload", "what it sets"),
        ((section, code(key), kind, code(preset), reload, text) for section, key, kind, preset, reload, text in rows),
    )


def message_rows(message: Message) -> str:
    rows = ((code(f.name), f.number, f.shown_type, f.note) for f in message.fields)
    return table(("field", "number", "type", "note"), rows) if message.fields else "No fields.\n"


def service_part(service: Service, messages: dict[str, Message]) -> str:
    """Each method with its request and, where it is this file's own, its response."""
    out, shown = [], set[str]()
    for rpc in service.rpcs:
        out.append(f"### {service.name}.{rpc.name}\n" + (f"\n{rpc.note}\n" if rpc.note else ""))
        way = {(False, False): "unary", (True, False): "client stream", (False, True): "server stream", (True, True): "both ways"}
        out.append(
            f"`{rpc.request}` → `{rpc.response}`, {way[rpc.client_stream, rpc.server_stream]}. Path `/bary.v1.{service.name}/{rpc.name}`.\n"
        )
        for name in (rpc.request, rpc.response):
            if name in messages and name not in shown and messages[name].file == service.file:
                shown.add(name)
                out.append(f"**{name}**{' — ' + messages[name].note if messages[name].note else ''}\n\n{message_rows(messages[name])}")
    return "\n".join(out)


def shared_part(messages: dict[str, Message], enums: list[Enum], services: list[Service]) -> str:
    """What is neither a request nor a response of its own file, and every enum."""
    own = {name for s in services for r in s.rpcs for name in (r.request, r.response) if messages[name].file == s.file}
    out = []
    for message in messages.values():
        if message.name not in own:
            out.append(f"### {message.name}\n\n{message.note + chr(10) * 2 if message.note else ''}{message_rows(message)}")
    for enum in enums:
        rows = ((code(name), number, note) for name, number, note in enum.values)
        out.append(f"### {enum.name}\n\n{enum.note + chr(10) * 2 if enum.note else ''}{table(('value', 'number', 'note'), rows)}")
    return "\n".join(out)


GPU_PASSES = ["facts", "moments", "seed_take", "seed_total", "seed_try", "assign_first", "assign_again", "inertia", "farthest", "distances"]


def gpu_runs() -> str:
    """What a card has run, by the results that are kept; a pass that none has run says so."""
    ran: dict[str, list[str]] = {}
    for path in sorted((ROOT / "perf/results/gpu").glob("*.json")):
        steps = {step["step"]: step for step in json.loads(path.read_text())}
        card = steps["environment"]["data"][0]["card"]
        link = f"[{card['name']}](../{path.relative_to(ROOT).with_suffix('.md')})" if card else ""
        for row in steps.get("passes", {}).get("data", []) if card else ():
            ran.setdefault(row["pass"], []).append(link)
        fits = steps.get("quality", {}).get("data", []) if card else ()
        if fits and all(row["equal"] and row["wrong_labels"] == 0 for row in fits):
            ran.setdefault("whole fits, bytes equal to the CPU's", []).append(link)
    names = [*GPU_PASSES, "whole fits, bytes equal to the CPU's"]
    return table(("pass", "ran on"), ((n, ", ".join(sorted(set(ran.get(n, [])))) or "not yet run on a GPU") for n in names))


def parts() -> dict[str, Callable[[], str]]:
    services, messages, enums = read_protos(sorted((ROOT / "proto/bary/v1").glob("*.proto")))
    out: dict[str, Callable[[], str]] = {
        "errors": errors,
        "metrics": metrics,
        "limits": limits,
        "fixed_limits": fixed_limits,
        "configuration": configuration,
        "device_reasons": device_reasons,
        "gpu_runs": gpu_runs,
        "api/shared": lambda: shared_part(messages, enums, services),
    }
    for service in services:
        out[f"api/{service.name}"] = lambda service=service: service_part(service, messages)
    return out


def renewed(page: Path, known: dict[str, Callable[[], str]]) -> str:
    def write(match: re.Match[str]) -> str:
        if match.group(2) not in known:
            sys.exit(f"gen_docs: {page}: unknown part '{match.group(2)}'; known are {', '.join(sorted(known))}")
        return f"{match.group(1)}{known[match.group(2)]()}{match.group(3)}"

    return PART.sub(write, page.read_text())


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--check", action="store_true", help="change nothing; end with 1 when a page is stale")
    check, known, stale = arguments.parse_args().check, parts(), 0
    for page in sorted((ROOT / "docs").rglob("*.md")):
        before, after = page.read_text(), renewed(page, known)
        if before == after:
            continue
        if not check:
            page.write_text(after)
            print(f"wrote {page.relative_to(ROOT)}")
            continue
        stale = 1
        print(f"{page.relative_to(ROOT)} is stale; run scripts/gen_docs.py")
        print("\n".join(list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0))[2:12]))
    return stale


if __name__ == "__main__":
    sys.exit(main())
