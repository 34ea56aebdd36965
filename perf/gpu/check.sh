#!/usr/bin/env bash
# Everything that one call on a machine with a GPU can tell: perf/gpu/check.sh OUT SECONDS [step,...]
#
# Builds the engine and the plug-in for the card that is there, checks kernels and laws on it, runs
# NVIDIA's sanitizers and sees that they see, measures ceilings, passes and fits, compares with peers,
# counts wrong labels, and writes OUT/report.json and OUT/report.md. Without a card the emulated
# plug-in takes the card's place, and what needs a card is SKIP with its reason.
#
# Wants nvcc, a host compiler, CMake, ninja and Python with numpy; no network. A step's record is
# appended to OUT/steps.jsonl when it ends, so a kill loses only the step under way. The card's settings
# are read and never set. Exit 1: a step was FAIL or TIMEOUT.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root" || exit 1
[ ! -d /usr/local/cuda/bin ] || PATH=$PATH:/usr/local/cuda/bin # compute-sanitizer lies beside nvcc

# name|seconds at most|what it tells
steps=(
    "environment|10|card, driver, clocks, memory, tools, revision, seed"
    "build|120|the engine, its tests and the plug-in, for the card found"
    "tests|80|kernels and laws: equal bytes to ref"
    "wrappers|20|arithmetic and PTX wrappers of the card against the host"
    "sanitize|80|memcheck, racecheck, synccheck, initcheck on small shapes"
    "mutants|40|planted bugs are reported: the tools see something"
    "ceilings|15|what the card does at its best"
    "passes|60|each pass of the backend, friendly and hostile rows"
    "fits|50|whole fits and rounds"
    "peers|60|the same rounds by others"
    "quality|35|no wrong label, the CPU's bytes, five times"
    "report|10|report.json and report.md"
)

usage() {
    sed -n '2,12s/^# \{0,1\}//p' "$0"
    printf 'steps:\n'
    local row
    for row in "${steps[@]}"; do
        IFS='|' read -r name cap what <<<"$row"
        printf '  %-12s %4s s  %s\n' "$name" "$cap" "$what"
    done
}

skip() {
    printf '%s\n' "$*"
    exit 77
}

# CHECK_BUILD names a build folder that is ready; CHECK_SMALL=1 takes the emulator's sizes.
build=${CHECK_BUILD:-$root/build/gpu-check}
python=${CHECK_PYTHON:-python3}

has_card() { [[ $(nvidia-smi -L 2>/dev/null) == GPU* ]]; }
card_number() { nvidia-smi --query-gpu=compute_cap --format=csv,noheader -i 0 | tr -d '. '; }
need_card() { has_card || skip "no GPU here"; }

# A folder that holds the plug-in under its name: the card's, or the emulator's.
backend() { printf '%s/backend' "$out"; }
small() { ! has_card || [ -n "${CHECK_SMALL:-}" ]; }

step_environment() {
    "$python" perf/gpu/report.py environment "$seed"
}

step_build() {
    local target=bary_cuemu nvcc plugin=$build/tests/cuemu/libbary_cuemu.so architecture program
    local options=(-DCMAKE_BUILD_TYPE=Release -DBARY_ENGINE_ONLY=ON -DBARY_CUDA=OFF)
    if has_card; then
        nvcc=$(command -v nvcc) || { echo "a GPU is here and no nvcc"; return 1; }
        architecture=$(card_number)
        [ "$architecture" -lt 90 ] || architecture=${architecture}a
        options+=(-DBARY_CUDA=ON "-DBARY_CUDA_ARCHITECTURES=$architecture-real" "-DCMAKE_CUDA_COMPILER=$nvcc")
        target=bary_cuda plugin=$build/kernels/cuda/libbary_cuda.so # tests build fakes of that name
    fi
    if [ -z "${CHECK_BUILD:-}" ]; then
        cmake -S . -B "$build" -G Ninja "${options[@]}" || return 1
        timeout 110 ninja -C "$build" check_kernels tests/laws/all perf_passes perf_agree perf_fit "$target" || return 1
    fi
    [ -f "$plugin" ] || { echo "the build left no $plugin"; return 1; }
    mkdir -p "$out/backend" && chmod go-w "$out" "$out/backend" && cp "$plugin" "$out/backend/libbary_cuda.so" || return 1
    has_card || { echo "built the emulator's plug-in" && return; }
    for program in probe planted; do
        "$nvcc" -std=c++17 -O3 --fmad=false -ftz=false -lineinfo "-arch=sm_$architecture" -I. \
            -Xcompiler=-ffp-contract=off "perf/gpu/$program.cu" -o "$out/$program" || return 1
    done
    echo "built for sm_$architecture"
}

need_backend() { [ -f "$out/backend/libbary_cuda.so" ] || skip "no plug-in: the step 'build' did not end well"; }

step_tests() {
    need_backend
    export BARY_TESTED_PLUGIN=$out/backend/libbary_cuda.so BARY_SEED=$seed
    has_card || { ctest --test-dir "$build" -L cuemu -LE planted --output-on-failure --no-tests=error; return; }
    # Four at a time: one by one they take longer than the step may, and each more is a context that takes turns.
    ctest --test-dir "$build" -L '^(kernels|laws)$' --output-on-failure --no-tests=error -j 4
}

step_wrappers() {
    need_card
    "$out/probe" arithmetic "$seed"
}

step_sanitize() {
    local tool status=0
    need_card
    need_backend
    command -v compute-sanitizer >/dev/null || skip "no compute-sanitizer here"
    export OMP_WAIT_POLICY=passive # unset, the program starts itself again, out of the tool's sight
    for tool in "memcheck --leak-check full --padding 32" racecheck synccheck initcheck; do
        # shellcheck disable=SC2086 # a tool and its options
        timeout 18 compute-sanitizer --tool $tool --error-exitcode 9 \
            "$build/perf/perf_passes" "$out/backend" 0 "$seed" tiny tiny-f64 >"$out/sanitize-${tool%% *}.log" 2>&1
        case $? in
        0) printf '{"tool": "%s", "errors": 0}\n' "${tool%% *}" ;;
        124) echo "${tool%% *} ran out of its 18 s" && status=1 ;;
        *)
            grep -q 'not supported\|Unable to\|insufficient permissions' "$out/sanitize-${tool%% *}.log" &&
                skip "compute-sanitizer is unavailable: $(grep -m 1 'not supported\|Unable to\|insufficient' "$out/sanitize-${tool%% *}.log")"
            tail -n 20 "$out/sanitize-${tool%% *}.log" && status=1
            ;;
        esac
    done
    return $status
}

# NAME TOOL: each bug under the tool that should see it. Without padding the next allocation lies right behind.
planted=("race racecheck" "beyond memcheck --padding 32" "shared_beyond memcheck" "divergent synccheck" "unwritten initcheck")

step_mutants() {
    local row name tool status=0
    if ! has_card; then
        ctest --test-dir "$build" -L planted --output-on-failure --no-tests=error
        return
    fi
    command -v compute-sanitizer >/dev/null || skip "no compute-sanitizer here"
    for row in "${planted[@]}"; do
        read -r name tool <<<"$row"
        # shellcheck disable=SC2086 # a tool and its options
        timeout 8 compute-sanitizer --tool $tool --error-exitcode 9 "$out/planted" "$name" >/dev/null 2>&1 ||
            { echo "$tool reports $name where it is right" && status=1; }
        # shellcheck disable=SC2086
        timeout 8 compute-sanitizer --tool $tool --error-exitcode 9 "$out/planted" "$name" wrong >/dev/null 2>&1
        [ $? = 9 ] || { echo "$tool does not see $name" && status=1; }
        printf '{"planted": "%s", "tool": "%s"}\n' "$name" "${tool%% *}"
    done
    return $status
}

step_ceilings() {
    need_card
    "$out/probe" ceilings
}

step_passes() {
    need_backend
    if small; then
        "$build/perf/perf_passes" "$out/backend" 0.05 "$seed" tiny tiny-f64
    else
        "$build/perf/perf_passes" "$out/backend" 0.4 "$seed" small plain wide many offset twins-f64
    fi
}

step_fits() {
    need_backend
    if small; then
        "$python" perf/gpu/peers.py --build "$build" --backend "$out/backend" --folder "$out/rows" --seed "$seed" --small bary bary-cpu
    else
        "$python" perf/gpu/peers.py --build "$build" --backend "$out/backend" --folder "$out/rows" --seed "$seed" --cap 10 bary bary-cpu
    fi
}

step_peers() {
    need_card
    "$python" perf/gpu/peers.py --build "$build" --backend "$out/backend" --folder "$out/rows" --seed "$seed" \
        bary torch flash_kmeans fastkmeans fast_pytorch_kmeans cuml faiss sklearn
}

step_quality() {
    need_backend
    if small; then
        "$build/perf/perf_agree" "$out/backend" cpu 5 "$seed" tiny tiny-twins
    else
        "$build/perf/perf_agree" "$out/backend" cpu 5 "$seed" blobs normal offset twins wide
    fi
}

step_report() { "$python" perf/gpu/report.py write "$out"; }

# Runs one step under its cap, records how it ended. Sets $state.
run_step() {
    local name=$1 cap=$2 log=$out/$1.log begun=$SECONDS left why status
    left=$((deadline - SECONDS - 10))
    [ "$name" != report ] || left=$((left + 10))
    [ "$left" -ge "$cap" ] || cap=$left
    if [ "$cap" -lt 3 ]; then
        state=SKIP why="no time left"
        : >"$log"
    else
        timeout -k 5 "$cap" bash "$root/perf/gpu/check.sh" --step "$name" "$out" "$seed" >"$log" 2>&1 </dev/null
        status=$?
        why=$(grep -v '^{' "$log" | tail -n 1)
        case $status in
        0) state=PASS ;;
        77) state=SKIP ;;
        124 | 137) state=TIMEOUT why="more than $cap s" ;;
        *) state=FAIL ;;
        esac
    fi
    "$python" perf/gpu/report.py record "$out" "$name" "$state" $((SECONDS - begun)) "$why"
    printf '%-12s %-7s %4d s  %s\n' "$name" "$state" $((SECONDS - begun)) "${why:0:150}"
}

main() {
    local row name cap what wanted failed=0
    case ${1:-} in
    --step)
        out=$3 seed=$4
        "step_$2"
        exit
        ;;
    -h | --help | "") usage && exit 0 ;;
    esac
    [[ ${2:-} =~ ^[0-9]+$ ]] || { usage >&2 && exit 2; }
    mkdir -p "$1" && out=$(cd "$1" && pwd) || exit 2
    deadline=$((SECONDS + $2)) wanted=,${3:-},
    seed=${CHECK_SEED:-$((RANDOM * 32768 + RANDOM))}
    : >>"$out/steps.jsonl"
    for row in "${steps[@]}"; do
        IFS='|' read -r name cap what <<<"$row"
        [ "$wanted" = ,, ] || [[ $wanted == *,$name,* ]] || continue
        run_step "$name" "$cap"
        case $state in FAIL | TIMEOUT) failed=1 ;; esac
        if [ "$name" = build ] && [ "$state" != PASS ]; then
            tail -n 30 "$out/build.log"
            wanted=,report, # nothing else has anything to run
        fi
    done
    [ ! -f "$out/report.md" ] || tail -n 60 "$out/report.md"
    exit $failed
}

main "$@"
