"""What protobuf-c and old clients dictate to the .proto files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tree
from google.protobuf import descriptor_pb2


@pytest.fixture(scope="module")
def descriptors(build: Path) -> descriptor_pb2.FileDescriptorSet:
    out = descriptor_pb2.FileDescriptorSet()
    out.ParseFromString((build / "proto" / "generated" / "descriptors.bin").read_bytes())
    return out


def messages(files: descriptor_pb2.FileDescriptorSet) -> dict[str, descriptor_pb2.DescriptorProto]:
    out: dict[str, descriptor_pb2.DescriptorProto] = {}

    def walk(prefix: str, message: descriptor_pb2.DescriptorProto) -> None:
        out[f"{prefix}.{message.name}"] = message
        for nested in message.nested_type:
            walk(f"{prefix}.{message.name}", nested)

    for file in files.file:
        for message in file.message_type:
            walk("." + file.package, message)
    return out


def reachable(files: descriptor_pb2.FileDescriptorSet) -> set[str]:
    """The messages that a client can send or receive."""
    held, todo = set(), [t for f in files.file for s in f.service for m in s.method for t in (m.input_type, m.output_type)]
    table = messages(files)
    while todo:
        name = todo.pop()
        if name not in held:
            held.add(name)
            todo += [f.type_name for f in table[name].field if f.type_name in table]
    return held


def test_no_message_holds_itself(descriptors: descriptor_pb2.FileDescriptorSet) -> None:
    """The unpacker of protobuf-c has no depth limit."""
    table, findings = messages(descriptors), []

    def walk(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            findings.append(" > ".join((*above, name)))
            return
        for field in table[name].field:
            if field.type_name in table:
                walk(field.type_name, (*above, name))

    for name in reachable(descriptors):
        walk(name, ())
    tree.report(findings)


def test_no_field_is_proto3_optional(descriptors: descriptor_pb2.FileDescriptorSet) -> None:
    """protobuf-c 1.4 refuses the word: a wrapper message, a oneof or an UNSPECIFIED value says unset."""
    tree.report([f"{name}.{f.name}" for name, m in messages(descriptors).items() for f in m.field if f.proto3_optional])


def test_no_path_or_url_is_a_field(descriptors: descriptor_pb2.FileDescriptorSet) -> None:
    """The server opens nothing that a client names."""
    tree.report(
        [
            f"{name}.{f.name}"
            for name, m in messages(descriptors).items()
            if name.startswith(".bary.")
            for f in m.field
            if re.search(r"(^|_)(path|url|uri|file|filename)$", f.name)
        ]
    )


def test_enums_begin_with_a_zero_that_is_unset_or_the_default(descriptors: descriptor_pb2.FileDescriptorSet) -> None:
    tree.report(
        [
            f"{file.package}.{e.name}"
            for file in descriptors.file
            for e in file.enum_type
            if file.syntax == "proto3" and e.value[0].number != 0
        ]
    )


def test_every_rpc_has_a_row_and_every_row_an_rpc(descriptors: descriptor_pb2.FileDescriptorSet) -> None:
    path = "rpc/methods.def"
    if path not in tree.files():
        pytest.skip(f"{path} is not there")
    declared = {f"/{f.package}.{s.name}/{m.name}" for f in descriptors.file for s in f.service for m in s.method}
    rows = {f"/{service}/{method}" for service, method in re.findall(r'^METHOD\("([\w.]+)", "(\w+)"', tree.text(path), re.MULTILINE)}
    tree.report([f"{m}: no row in {path}" for m in sorted(declared - rows)] + [f"{m}: no rpc" for m in sorted(rows - declared)])
