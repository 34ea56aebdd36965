"""Makes what is derived from the protocol: message modules, their stubs, a class per error reason.

The messages are not protoc's Python modules. Those register themselves in protobuf's global pool,
where another package that ships google/rpc/status.proto would collide with ours, and they refuse a
protobuf runtime older than the compiler. Instead the descriptors travel as one file, and one module
per .proto file fills itself from a pool of our own (bary/_proto/_pool.py). The stubs are protoc's.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
PACKAGE = ROOT / "bary"

PROTOS = (
    "bary/v1/types.proto",
    "bary/v1/clustering_service.proto",
    "bary/v1/dataset_service.proto",
    "bary/v1/job_service.proto",
    "bary/v1/model_service.proto",
    "bary/v1/server_service.proto",
    "google/rpc/error_details.proto",
    "google/rpc/status.proto",
)

ROW = re.compile(r'^STATUS\((\w+),\s*(\d+),\s*(\w+),\s*(\w+),\s*"(.*)"\)', re.MULTILINE)

# Which built-in exception an error is as well, so that `except ValueError` and its like catch it:
# by reason where the reason says more than its gRPC code.
BASE_OF_REASON = {
    "FILE_NOT_FOUND": "FileNotFoundError",
    "METHOD_NOT_FOUND": "NotImplementedError",
    "UNSUPPORTED": "NotImplementedError",
    "MEMORY_PRESSURE": "MemoryError",
    "OUT_OF_MEMORY": "MemoryError",
    "EXCEEDS_CAPACITY": "MemoryError",
    "STORAGE_FULL": "OSError",
    "IO": "OSError",
    "MESSAGE_SIZE": "ValueError",
    "CHECKSUM": "OSError",
    "DAMAGED": "OSError",
    "DEVICE_LOST": "RuntimeError",
}
BASE_OF_CODE = {
    "INVALID_ARGUMENT": "ValueError",
    "NOT_FOUND": "KeyError",
    "ALREADY_EXISTS": "ValueError",
    "UNAVAILABLE": "ConnectionError",
    "DEADLINE_EXCEEDED": "TimeoutError",
    "PERMISSION_DENIED": "PermissionError",
    "UNAUTHENTICATED": "PermissionError",
}

HEADER = '"""Made from {source} by hatch_build.py; do not edit."""\n\n'


def proto_root() -> Path:
    """The folder of .proto files: inside a source distribution, else the repository's."""
    for folder in (ROOT / "proto", ROOT.parent.parent / "proto"):
        if (folder / "status.def").is_file():
            return folder
    raise FileNotFoundError(
        f"no folder proto/ with status.def beside {ROOT} or two levels above it"
    )


def module_of(proto: str) -> str:
    """`bary/v1/types.proto` is module `types_pb2` of bary._proto."""
    return Path(proto).stem + "_pb2"


def mended(stub: str) -> str:
    """A stub that imports from our package and holds under mypy's strict mode."""
    stub = re.sub(
        r"^from (bary\.v1|google\.rpc) import", "from bary._proto import", stub, flags=re.M
    )
    stub = stub.replace("_Mapping]", "_Mapping[str, object]]")
    # A field may be called `bytes` beside others of that type.
    stub = re.sub(r"(: |\[)bytes\b", r"\1_builtins.bytes", stub)
    return "import builtins as _builtins\n" + stub


def make_messages(protos: Path) -> None:
    """Writes descriptors.bin, and per .proto file a module that fills itself and its stub."""
    import grpc_tools
    from grpc_tools import protoc

    known = Path(grpc_tools.__file__).parent / "_proto"
    target = PACKAGE / "_proto"
    with tempfile.TemporaryDirectory() as stubs:
        command = ["protoc", f"-I{protos}", f"-I{known}", "--include_imports"]
        command += [
            f"--descriptor_set_out={target / 'descriptors.bin'}",
            f"--pyi_out={stubs}",
            *PROTOS,
        ]
        if protoc.main(command) != 0:
            raise RuntimeError("protoc failed: " + " ".join(command))
        for proto in PROTOS:
            module = module_of(proto)
            stub = (Path(stubs) / proto).with_name(module + ".pyi").read_text()
            (target / f"{module}.pyi").write_text(mended(stub))
            (target / f"{module}.py").write_text(
                HEADER.format(source=proto)
                + "from bary._proto._pool import fill\n\n"
                + f'fill(globals(), "{proto}")\n'
            )


def class_name(reason: str) -> str:
    """`TOO_FEW_ROWS` is TooFewRowsError."""
    return "".join(word.capitalize() for word in reason.split("_")) + "Error"


def make_reasons(protos: Path) -> None:
    """Writes one exception class per row of status.def."""
    rows = [row for row in ROW.findall((protos / "status.def").read_text()) if row[0] != "OK"]
    if not rows:
        raise ValueError(
            f"{protos / 'status.def'} has no row STATUS(...) that this file understands"
        )
    text = HEADER.format(source="proto/status.def")
    text += "import builtins\nfrom typing import ClassVar\n\nfrom bary._error import BaryError\n\n"
    text += "__all__ = [\n" + "".join(f'    "{class_name(row[0])}",\n' for row in rows) + "]\n"
    for reason, number, code, retry, sentence in rows:
        base = BASE_OF_REASON.get(reason) or BASE_OF_CODE.get(code, "RuntimeError")
        text += (
            f"\n\nclass {class_name(reason)}(BaryError, builtins.{base}):\n"
            f'    """{sentence[0].upper() + sentence[1:]}."""\n\n'
            f'    __module__ = "bary.errors"\n'
            f'    reason: ClassVar[str] = "{reason}"\n'
            f'    code: ClassVar[str] = "{code}"\n'
            f"    number: ClassVar[int] = {number}\n"
            f"    retryable: ClassVar[bool] = {retry == 'LATER'}\n"
        )
    (PACKAGE / "_reasons.py").write_text(text)


class ProtocolHook(BuildHookInterface):  # type: ignore[misc]
    """Runs before every wheel, editable install and source distribution."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Makes the derived files; with BARY_WHEEL_BARYD set, the wheel carries that server."""
        protos = proto_root()
        make_messages(protos)
        make_reasons(protos)
        build_data["artifacts"] += [
            "/bary/_proto/*_pb2.py",
            "/bary/_proto/*_pb2.pyi",
            "/bary/_proto/descriptors.bin",
            "/bary/_reasons.py",
        ]
        server = os.environ.get("BARY_WHEEL_BARYD")
        if server and self.target_name == "wheel" and version != "editable":
            if not os.stat(server).st_mode & stat.S_IXUSR:
                raise PermissionError(f"BARY_WHEEL_BARYD={server} is not executable")
            build_data["force_include"][server] = "bary/_bin/baryd"
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-linux_{os.uname().machine}"
