#!/usr/bin/env bash
# clang-tidy over all C files that a build compiles: scripts/tidy.sh BUILD-FOLDER. Prints findings alone.
set -euo pipefail
build=$1
files() {
    python3 -c '
import json, sys
print("\0".join(sorted({c["file"] for c in json.load(open(sys.argv[1])) if "/generated/" not in c["file"] and c["file"].endswith(".c")})), end="")
' "$build/compile_commands.json"
}
said=$(mktemp)
trap 'rm -f "$said"' EXIT
status=0
files | xargs -0 -n 8 -P "$(nproc)" clang-tidy -p "$build" --quiet --warnings-as-errors='*' >"$said" 2>&1 || status=1
grep -vE '^[0-9]+ warnings?( and [0-9]+ errors?)? (generated|treated)|^Suppressed|^Use -header-filter' "$said" || true
exit $status
