"""Reads .proto files as their authors wrote them: names, numbers and the comments beside them.

Knows what the project's files use: services, messages, enums, oneof, map, repeated; no nested types.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Field:
    name: str
    number: str
    type: str
    repeated: bool
    oneof: str
    note: str

    @property
    def shown_type(self) -> str:
        words = ("repeated " if self.repeated else "") + self.type.replace("google.protobuf.", "")
        return words + (f" (one of {self.oneof})" if self.oneof else "")


@dataclass
class Message:
    name: str
    note: str
    file: str
    fields: list[Field] = field(default_factory=list)


@dataclass
class Enum:
    name: str
    note: str
    values: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass
class Rpc:
    name: str
    note: str
    request: str
    response: str
    client_stream: bool
    server_stream: bool


@dataclass
class Service:
    name: str
    note: str
    file: str
    rpcs: list[Rpc] = field(default_factory=list)


_RPC = re.compile(r"rpc (\w+)\((stream )?([\w.]+)\) returns \((stream )?([\w.]+)\);")
_FIELD = re.compile(r"(repeated )?(map<[\w., ]+>|[\w.]+) (\w+) = (\d+);")
_VALUE = re.compile(r"(\w+) = (\d+);")
_OPEN = re.compile(r"(service|message|enum|oneof) (\w+) \{(\})?")


class Reader:
    """One file, line by line: comments above a line and behind it belong to it."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.services: list[Service] = []
        self.messages: list[Message] = []
        self.enums: list[Enum] = []
        self._above: list[str] = []
        self._inside: list[str] = []
        self._oneof = ""

    def line(self, line: str) -> None:
        words, _, behind = (part.strip() for part in line.partition("//"))
        if not words:
            self._above = [*self._above, behind] if behind else []
            return
        note = " ".join([*self._above, behind]).strip()
        self._above = []
        if opened := _OPEN.match(words):
            self._open(opened, note)
        elif words == "}":
            self._oneof = "" if self._inside.pop() == "oneof" else self._oneof
        elif self._inside:
            self._member(words, note)

    def _open(self, opened: re.Match[str], note: str) -> None:
        kind, name = opened.group(1), opened.group(2)
        if kind == "service":
            self.services.append(Service(name, note, self.file))
        elif kind == "message":
            self.messages.append(Message(name, note, self.file))
        elif kind == "enum":
            self.enums.append(Enum(name, note))
        else:
            self._oneof = name
        if not opened.group(3):
            self._inside.append(kind)

    def _member(self, words: str, note: str) -> None:
        kind = self._inside[-1]
        if kind == "service" and (m := _RPC.match(words)):
            self.services[-1].rpcs.append(Rpc(m[1], note, m[3], m[5], bool(m[2]), bool(m[4])))
        elif kind == "enum" and (m := _VALUE.match(words)):
            self.enums[-1].values.append((m[1], m[2], note))
        elif kind in ("message", "oneof") and (m := _FIELD.match(words)):
            self.messages[-1].fields.append(Field(m[3], m[4], m[2], bool(m[1]), self._oneof, note))
        elif not words.startswith(("reserved", "option")):
            raise SystemExit(f"{self.file}: cannot read '{words}'")


def read_protos(paths: list[Path]) -> tuple[list[Service], dict[str, Message], list[Enum]]:
    services: list[Service] = []
    messages: dict[str, Message] = {}
    enums: list[Enum] = []
    for path in paths:
        reader = Reader(path.name)
        for line in path.read_text().splitlines():
            reader.line(line)
        services += reader.services
        messages |= {m.name: m for m in reader.messages}
        enums += reader.enums
    return services, messages, enums
