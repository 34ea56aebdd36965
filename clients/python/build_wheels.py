"""Builds the wheels: the client alone, and with --baryd one for Linux that carries the server too.

    python clients/python/build_wheels.py --baryd build/release/rpc/baryd

The server in the wheel links the system's gRPC and other libraries dynamically; README.md names the
packages that must be installed, and the client names a missing one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent


def build(out: Path, baryd: Path | None) -> None:
    """Build one wheel into `out`, in a clean environment that pip makes."""
    environment = {k: v for k, v in os.environ.items() if k != "BARY_WHEEL_BARYD"}
    if baryd is not None:
        environment["BARY_WHEEL_BARYD"] = str(baryd)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--wheel-dir", str(out), str(ROOT)]
    subprocess.run(command, check=True, env=environment)


def stripped(baryd: Path, folder: Path) -> Path:
    """A copy without debug symbols, where there is a strip."""
    copy = folder / "baryd"
    shutil.copy2(baryd, copy)
    strip = shutil.which("strip")
    if strip:
        subprocess.run([strip, str(copy)], check=True)
    return copy


def main() -> None:
    """Build one wheel or both, and print what there is."""
    parser = argparse.ArgumentParser(description="Builds the wheels of bary.")
    parser.add_argument(
        "--baryd",
        type=Path,
        default=os.environ.get("BARY_BARYD"),
        help="server to put into the Linux wheel (default: BARY_BARYD; none: client alone)",
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for the wheels")
    arguments = parser.parse_args()
    out: Path = arguments.out
    build(out, None)
    if arguments.baryd is not None:
        with tempfile.TemporaryDirectory() as folder:
            build(out, stripped(Path(arguments.baryd).resolve(strict=True), Path(folder)))
    for wheel in sorted(out.glob("bary-*.whl")):
        print(f"{wheel} {wheel.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
