"""An include names its file from the root and points left: proto <- kernels <- engine <- service <- rpc."""

from __future__ import annotations

import re

import tree

# A folder's height; a file may include what is at most as high. Equal heights may include each other.
HEIGHTS = (
    ("proto/", 0),
    ("kernels/", 10),
    ("host/base/", 20),
    ("host/data/", 21),
    ("host/cluster/", 22),
    ("host/stats/", 22),
    ("host/metrics/", 30),
    ("host/auth/", 30),
    ("host/store/", 30),
    ("host/jobs/", 30),
    ("host/", 23),
    ("rpc/", 40),
)
# Who may include what lies outside the house.
OUTSIDE = (
    (r"grpc/", ("rpc/", "clients/", "tests/", "perf/")),
    (r"protobuf-c/", ("rpc/", "clients/", "tests/", "perf/")),
    (r"microhttpd\.h", ("rpc/", "tests/")),
    (r"sqlite3\.h", ("host/store/", "host/jobs/", "tests/")),
    (r"openssl/", ("host/store/", "host/jobs/", "host/auth/", "rpc/", "clients/", "tests/")),
    (r"immintrin\.h|arm_neon\.h", ("kernels/", "host/base/", "tests/", "perf/")),
    (r"omp\.h", ("kernels/", "host/", "tests/", "perf/")),
)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)


def height(path: str) -> int | None:
    return next((level for folder, level in HEIGHTS if path.startswith(folder)), None)


def includes() -> list[tuple[str, int, str, str]]:
    return [
        (path, tree.line_of(tree.text(path), m.start()), m.group(1), m.group(2))
        for path in tree.having(".c", ".h", ".cu", ".cuh", ".def")
        for m in INCLUDE.finditer(tree.text(path))
    ]


def client_may(path: str, target: str) -> bool:
    """Clients include their own folder; the command line tool also the C client, and host for --local."""
    own = "/".join(path.split("/")[:2]) + "/"
    allowed = {
        "clients/c/": ("clients/c/", "proto/"),
        "clients/cli/": ("clients/cli/", "clients/c/", "host/", "kernels/", "proto/"),
        "clients/batch/": ("clients/batch/", "host/", "kernels/", "proto/"),
    }
    return target.startswith(allowed.get(own, (own,)))


def wrong(path: str, target: str) -> str | None:
    if target.endswith(".pb-c.h"):
        ok = path.startswith(("rpc/", "clients/", "tests/", "perf/"))
        return None if ok else "the generated code is for rpc and clients alone"
    if target not in tree.files():
        return "names no file from the root"
    if path.startswith("clients/"):
        return None if client_may(path, target) else "clients include only their own"
    mine, theirs = height(path), height(target)
    if mine is None:  # tests and perf see everything
        return None
    if theirs is None:
        return "points out of the house"
    return None if theirs <= mine else "points right"


def test_quoted_includes_point_left() -> None:
    tree.report(
        [f'{path}:{line}: "{target}" {why}' for path, line, quote, target in includes() if quote == '"' and (why := wrong(path, target))]
    )


def test_libraries_from_outside_stay_where_they_are_used() -> None:
    tree.report(
        [
            f"{path}:{line}: <{target}> is for {', '.join(folders)}"
            for path, line, quote, target in includes()
            for pattern, folders in OUTSIDE
            if re.match(pattern, target) and not path.startswith(folders)
        ]
    )


def test_every_header_has_a_reader() -> None:
    read = {target for _, _, _, target in includes()}
    public = {"clients/c/baryc.h"}
    tree.report(
        [f"{path}: nobody includes it" for path in tree.having(".h", ".cuh", ".def", under=tree.LIBRARIES) if path not in read | public]
    )
