# The long trials of ./test --long MINUTES: kills, soak, load, and every fuzz target. Sourced by ./test.
#
# build/trials/ holds one file per trial, appended to: a line of JSON per round. A trial's next round takes the next
# seed, so a later call goes on where the last one stopped. The minutes are shared between the trials in turn.

trials=build/trials

# The number of rounds that a trial has behind it: its next seed.
trial_rounds() { if [ -f "$trials/$1.jsonl" ]; then wc -l <"$trials/$1.jsonl"; else echo 0; fi; }

# trial_round NAME COMMAND...: one round; its seed is in SEED. Records how it ended.
trial_round() {
    local name=$1 begun=$SECONDS status seed
    shift
    seed=$(($(trial_rounds "$name") + 1))
    SEED=$seed "$@" >"$trials/$name-$seed.log" 2>&1
    status=$?
    printf '{"trial": "%s", "seed": %d, "commit": "%s", "ended": "%s", "seconds": %d, "exit": %d, "words": %s}\n' \
        "$name" "$seed" "$(git rev-parse --short HEAD)" "$(date -u +%FT%TZ)" $((SECONDS - begun)) $status \
        "$(grep -E '^[0-9]+ kills|^soak:|p99|passed|failed|stat::number_of_executed_units' "$trials/$name-$seed.log" | tail -n 3 |
            python3 -c 'import json, sys; print(json.dumps(sys.stdin.read().strip()))')" >>"$trials/$name.jsonl"
    tail -n 1 "$trials/$name.jsonl"
    [ $status = 0 ] && rm -f "$trials/$name-$seed.log" && return 0
    trial_failures=$((trial_failures + 1))
    say "   failed: $trials/$name-$seed.log"
}

trial_kills() {
    BARYD=$PWD/build/dev/rpc/baryd BARY_KILLS=${BARY_KILLS:-200} BARY_KILLS_SEED=$SEED \
        "$python" -m pytest -q -s -p no:cacheprovider tests/service/test_kills.py
}

trial_soak() {
    BARYD=$PWD/build/dev/rpc/baryd BARY_SOAK_MINUTES=$soak_minutes BARY_SOAK_SEED=$SEED \
        "$python" -m pytest -q -s -p no:cacheprovider tests/service/test_soak.py
}

trial_load() {
    BARYD=$PWD/build/dev/rpc/baryd BARY_LOAD_SECONDS=30 "$python" -m pytest -q -s -p no:cacheprovider tests/service/test_load.py
}

# Every test there is, in random order beside a busy machine: what flakes shows.
trial_flakes() {
    (for ((i = 0; i < jobs; i++)); do timeout 900 sh -c 'while :; do :; done' & done
        trap 'kill $(jobs -p) 2>/dev/null' EXIT
        ctest --test-dir build/dev --output-on-failure --schedule-random -j "$jobs")
}

# Each file fuzz_*.c of tests/fuzz is one libFuzzer target.
fuzz_targets() { find tests/fuzz -maxdepth 1 -name 'fuzz_*.c' -printf '%f\n' | sed 's/\.c$//' | sort; }
trial_fuzz() {
    local target=$1 folder corpus=($trials/corpus/$1)
    mkdir -p "${corpus[0]}"
    for folder in "tests/golden/fuzz/${target#fuzz_}" "tests/golden/${target#fuzz_}"; do
        [ ! -d "$folder" ] || corpus+=("$folder")
    done
    "build/fuzz/tests/fuzz/$target" -max_total_time="$fuzz_seconds" -seed="$SEED" -timeout=10 -rss_limit_mb=2048 \
        -artifact_prefix="$trials/$target-" -print_final_stats=1 "${corpus[@]}"
}

long_trials() {
    local minutes=$1 end name
    end=$((SECONDS + minutes * 60))
    trial_failures=0
    mkdir -p "$trials"
    build_quiet dev || die "the dev build failed"
    step_python || die "the Python environment could not be made"
    soak_minutes=$((minutes / 4 > 0 ? minutes / 4 : 1))
    fuzz_seconds=$((minutes * 10))
    [ -f build/fuzz/build.ninja ] ||
        CC=clang CXX=clang++ cmake -S . -B build/fuzz -G Ninja -DCMAKE_BUILD_TYPE=Debug -DBARY_SANITIZE=address \
            -DBARY_FUZZ=ON >build/fuzz.log 2>&1 || die "the fuzz build cannot be configured: build/fuzz.log"
    # shellcheck disable=SC2046 # a list of words
    ninja -C build/fuzz $(fuzz_targets) >build/fuzz-ninja.log 2>&1 || die "the fuzz build failed: build/fuzz-ninja.log"
    while :; do
        trial_round kills trial_kills
        [ $SECONDS -lt $end ] && trial_round soak trial_soak
        [ $SECONDS -lt $end ] && trial_round load trial_load
        [ $SECONDS -lt $end ] && trial_round flakes trial_flakes
        for name in $(fuzz_targets); do
            [ $SECONDS -lt $end ] && trial_round "$name" trial_fuzz "$name"
        done
        [ $SECONDS -lt $end ] || break
    done
    say "took $SECONDS s; results in $trials, $trial_failures rounds failed"
    [ "$trial_failures" = 0 ]
}
