"""Records of a check on a GPU, and the report made of them.

report.py environment SEED                      a line of JSON: the machine, its tools, the revision
report.py record OUT STEP STATE SECONDS WHY     appends a step to OUT/steps.jsonl, with the JSON of its log
report.py write OUT                             OUT/report.json and OUT/report.md
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

Record = dict[str, Any]

CARD = (
    "name,driver_version,compute_cap,memory.total,memory.free,clocks.sm,clocks.mem,clocks.max.sm,clocks.max.mem,"
    "mig.mode.current,ecc.mode.current"
)
PACKAGES = ("numpy", "torch", "triton", "cupy-cuda12x", "cupy-cuda13x", "scikit-learn", "cuml-cu12", "faiss-gpu-cu12")


def words(*command: str) -> str:
    """What a command says, or nothing when it is not there or fails."""
    if not shutil.which(command[0]) and not Path(command[0]).is_file():
        return ""
    done = subprocess.run(command, capture_output=True, text=True, timeout=8, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def environment(seed: str) -> Record:
    card = words("nvidia-smi", f"--query-gpu={CARD}", "--format=csv,noheader,nounits", "-i", "0")
    nvcc = words("nvcc", "--version") or words("/usr/local/cuda/bin/nvcc", "--version")
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seed": int(seed),
        "card": dict(zip(CARD.split(","), card.split(", "), strict=True)) if card else None,
        "cpu": processor(),
        "nvcc": nvcc.splitlines()[-1] if nvcc else "",
        "compiler": words("c++", "--version").split("\n")[0],
        "python": platform.python_version(),
        "packages": packages(),
        "revision": words("git", "rev-parse", "HEAD"),
        "changed_files": len(words("git", "status", "--porcelain").splitlines()),
    }


def record(out: Path, step: str, state: str, seconds: str, why: str) -> None:
    """Append one step. Its data are the lines of its log that are JSON objects."""
    data = []
    log = out / f"{step}.log"
    for line in log.read_text(errors="replace").splitlines() if log.is_file() else ():
        if line.startswith("{"):
            try:
                data.append(json.loads(line))
            except ValueError:
                continue
    row = {"step": step, "state": state, "seconds": int(seconds), "why": why[:300], "data": data}
    with (out / "steps.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


def steps_of(out: Path) -> dict[str, Record]:
    """The newest record of each step, in the order in which they first ran."""
    found: dict[str, Record] = {}
    for line in (out / "steps.jsonl").read_text().splitlines():
        row = json.loads(line)
        found[row["step"]] = row
    return found


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]] + [""]


def data(steps: dict[str, Record], step: str) -> list[Record]:
    return list(steps.get(step, {}).get("data", []))


def head_lines(steps: dict[str, Record]) -> list[str]:
    about = (data(steps, "environment") or [{}])[0]
    card = about.get("card")
    lines = ["# What a GPU said" if card else "# What the emulator said", ""]
    if card:
        lines += [f"{card['name']}, driver {card['driver_version']}, {about['nvcc']}."]
    else:
        lines += ["No GPU was here: the plug-in of this report ran in the emulator, so its times mean nothing."]
    lines += [f"CPU: {about.get('cpu', '')}. Revision {about.get('revision', '')[:12] or 'unknown'}, "]
    lines += [f"{about.get('changed_files', '?')} changed files, seed {about.get('seed', '?')}, {about.get('time', '')}.", ""]
    return lines


def steps_lines(steps: dict[str, Record]) -> list[str]:
    rows = [[r["step"], r["state"], str(r["seconds"]), r["why"]] for r in steps.values() if r["step"] != "report"]
    return ["## Steps", "", *table(["step", "state", "s", "last words"], rows)]


def quality_lines(steps: dict[str, Record]) -> list[str]:
    rows = [
        [
            f"{r['rows']:,} x {r['columns']}, k = {r['clusters']}, {r['number']}, {r['data']}",
            str(r["wrong_labels"]),
            f"{r['rows_checked']:,}",
            "yes" if r["equal"] else "NO",
            str(r["repeats"]),
        ]
        for r in data(steps, "quality")
    ]
    head = ["fit", "wrong labels", "rows checked", "bytes equal the CPU's", "repeats"]
    return ["## Answers", "", *table(head, rows)] if rows else []


def ceilings_of(steps: dict[str, Record]) -> Record:
    return next((r for r in data(steps, "ceilings") if r.get("probe") == "ceilings"), {})


def share(row: Record, ceilings: Record) -> str:
    """How near the pass comes to what bounds it: bytes or products, whichever asks for more time."""
    if not ceilings:
        return ""
    floor = max(row["bytes"] / ceilings["copy_gb_s"], row["products"] / ceilings["fp64_gfma_s"])
    return f"{floor / row['median_ns']:.0%}"


def passes_lines(steps: dict[str, Record]) -> list[str]:
    ceilings = ceilings_of(steps)
    rows = [
        [
            r["shape"],
            r["pass"],
            r["method"],
            f"{r['median_ns'] / 1e6:.3f}",
            f"{r['p10_ns'] / 1e6:.3f}-{r['p90_ns'] / 1e6:.3f}",
            f"{r['gb_s']:.1f}",
            f"{r['gproducts_s']:.1f}",
            share(r, ceilings),
        ]
        for r in data(steps, "passes")
    ]
    head = ["shape", "pass", "method", "ms", "p10-p90", "GB/s", "G products/s", "of the floor"]
    lines = ["## Passes", ""]
    if ceilings:
        lines += [
            f"Ceilings of this card, this run: copy {ceilings['copy_gb_s']:,.0f} GB/s, fp64 {ceilings['fp64_gfma_s']:,.0f} G FMA/s, "
            f"launch {ceilings['launch_us']:.1f} us. The floor is the larger of bytes and fp64 products over these.",
            "",
        ]
    return [*lines, *table(head, rows)] if rows else []


def peers_lines(steps: dict[str, Record]) -> list[str]:
    seen = [*data(steps, "fits"), *data(steps, "peers")]
    ours = {r["shape"]: r for r in seen if r["peer"] == "bary" and not r.get("why")}
    rows = []
    for r in seen:
        if r.get("why"):
            rows.append([r["shape"], r["peer"], "", "", "", "", r["why"][:80]])
            continue
        own = ours.get(r["shape"])
        comparable = own is None or r["inertia"] <= own["inertia"] * 1.01
        rows.append(
            [
                r["shape"],
                f"{r['peer']} {r['version']}",
                f"{r['round_ms']:.3f}",
                f"{r['round_ms'] / own['round_ms']:.2f}" if own else "",
                f"{r['fit_ms']:.1f}",
                f"{r['wrong_labels']} of {r['rows_checked']:,}",
                "" if comparable else f"not comparable: inertia {r['inertia'] / own['inertia']:.3f} of ours",
            ]
        )
    head = ["shape", "who", "ms a round", "/ ours", "ms a fit of 10 rounds", "wrong labels", "note"]
    return ["## Rounds beside peers", "", *table(head, rows)] if rows else []


def write(out: Path) -> None:
    steps = steps_of(out)
    (out / "report.json").write_text(json.dumps(list(steps.values()), indent=1) + "\n")
    lines = [*head_lines(steps), *steps_lines(steps), *quality_lines(steps), *passes_lines(steps), *peers_lines(steps)]
    (out / "report.md").write_text("\n".join(lines))


def main(arguments: list[str]) -> None:
    match arguments:
        case ["environment", seed]:
            print(json.dumps(environment(seed)))
        case ["record", out, step, state, seconds, why]:
            record(Path(out), step, state, seconds, why)
        case ["write", out]:
            write(Path(out))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
