# Shared by ./run and ./test: saying, installing, building, each only when it is needed.
# Sourced by bash from the repository's root.

stamps=build/stamps
jobs=$(nproc)

# A compiler cache is used where there is one; nothing depends on it.
if command -v ccache >/dev/null; then
    export CMAKE_C_COMPILER_LAUNCHER=ccache CMAKE_CXX_COMPILER_LAUNCHER=ccache
fi

# Where Python may not keep what it compiled, each start compiles scikit-learn and pandas anew: 4 of 5 seconds.
unset PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX=$PWD/build/pycache

say() { printf '%s\n' "$*"; }
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# What the C build needs. The well-known .proto files are in libprotobuf-dev.
packages_build=(gcc g++ libc6-dev cmake ninja-build pkg-config protobuf-compiler libprotobuf-dev
    protobuf-c-compiler libprotobuf-c-dev libgrpc-dev libsqlite3-dev libssl-dev libmicrohttpd-dev
    libjansson-dev libinih-dev)
packages_python=(python3 python3-venv)
packages_test=(clang clang-format clang-tidy libclang-rt-14-dev libomp-dev libomp-14-dev llvm-14 valgrind libfaketime)

# Prints those of the packages that are not installed.
packages_missing() {
    local package
    for package in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            printf '%s ' "$package"
    done
}

# Installs the packages that are missing: as root, else by sudo, else says what to type.
need() {
    local missing as=()
    command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
        die "needs Debian's apt-get to install: $*"
    missing=$(packages_missing "$@")
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null ||
            die "these packages are missing; as root, type: apt-get update && apt-get install -y --no-install-recommends $missing"
        as=(sudo)
        sudo -n true 2>/dev/null || say "   sudo may ask for your password"
    fi
    say "   installing with apt: $missing"
    mkdir -p build
    # shellcheck disable=SC2086 # a list of words
    if ! { "${as[@]}" apt-get -q update &&
        "${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install $missing; } \
        >build/apt.log 2>&1; then
        tail -n 20 build/apt.log >&2
        die "apt-get failed; all it said is in build/apt.log"
    fi
}

# One hash of files and words: what a stamp is keyed by. Folders are taken whole, missing ones are nothing.
hash_of() {
    local path
    for path in "$@"; do
        if [ -d "$path" ]; then
            find "$path" -type f ! -path '*/__pycache__/*' ! -path '*.egg-info/*' -print0 | sort -z | xargs -0 -r sha256sum
        elif [ -f "$path" ]; then
            sha256sum "$path"
        else
            printf '%s\n' "$path"
        fi
    done | sha256sum | cut -c1-32
}
stamp_holds() { [ -f "$stamps/$1" ] && [ "$(cat "$stamps/$1")" = "$2" ]; }
stamp_set() { mkdir -p "$stamps" && printf '%s\n' "$2" >"$stamps/$1"; }

# build_preset PRESET [TARGET...]: configures once (and again when CMake itself finds that it must), builds.
build_preset() {
    local preset=$1
    shift
    mkdir -p build
    [ -f "build/$preset/build.ninja" ] || cmake --preset "$preset" >"build/$preset.log" 2>&1 || {
        tail -n 30 "build/$preset.log" >&2
        return 1
    }
    ninja -C "build/$preset" "$@"
}

# The Python that .venv is made of: 3.11 or later.
python_base() {
    local python
    for python in python3 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if command -v "$python" >/dev/null &&
            "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$python"
            return
        fi
    done
    return 1
}

# What the client's install hangs on: its sources are used in place.
client_hash() { hash_of clients/python/pyproject.toml clients/python/hatch_build.py proto; }

# venv_with NAME HASH ARGUMENTS...: .venv, with what `pip install ARGUMENTS` brings, unless the stamp says it is there.
venv_with() {
    local name=$1 hash=$2 python
    shift 2
    if [ ! -x .venv/bin/python ] || ! .venv/bin/python -c '' 2>/dev/null; then
        python=$(python_base) || die "needs Python 3.11 or later with venv (Debian: apt-get install python3 python3-venv)"
        rm -rf .venv "$stamps"/python-*
        "$python" -m venv .venv || return 1
    fi
    stamp_holds "python-$name" "$hash" && return 0
    say "   installing Python packages into .venv: $name"
    if ! .venv/bin/python -m pip install --disable-pip-version-check --no-compile "$@" >"build/pip-$name.log" 2>&1; then
        tail -n 20 "build/pip-$name.log" >&2
        say "pip failed; all it said is in build/pip-$name.log" >&2
        return 1
    fi
    stamp_set "python-$name" "$hash"
}
