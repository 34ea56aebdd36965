"""A descriptor pool of our own, so that no other package's messages can collide with these."""

from __future__ import annotations

from importlib import resources

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal import enum_type_wrapper
from google.protobuf.message import Message


def _load() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    data = resources.files(__package__).joinpath("descriptors.bin").read_bytes()
    for file in descriptor_pb2.FileDescriptorSet.FromString(data).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


POOL = _load()


def message_class(full_name: str) -> type[Message]:
    """The class of a message by its full name, such as "bary.v1.Job"."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(full_name))


def fill(module: dict[str, object], proto: str) -> None:
    """Puts the messages, enums and enum values of one .proto file into a module's namespace."""
    file = POOL.FindFileByName(proto)
    for name, message in file.message_types_by_name.items():
        module[name] = message_factory.GetMessageClass(message)
    for name, enum in file.enum_types_by_name.items():
        module[name] = enum_type_wrapper.EnumTypeWrapper(enum)
        for value in enum.values:
            module[value.name] = value.number
    module["DESCRIPTOR"] = file
