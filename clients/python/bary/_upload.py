"""Rows into a dataset: several streams side by side, chunks of whole rows, each with its crc32c.

A chunk is copied once, from the array into the message. The message is put together by hand: its
four fields are fixed, and protobuf would copy the payload twice more.
"""

from __future__ import annotations

from collections.abc import Iterator

import google_crc32c

from bary._channel import Channel
from bary._methods import UPLOAD
from bary._proto import dataset_service_pb2 as dataset
from bary._wire import CHUNK_BYTES, Array, Block

STREAMS = 4

# UploadRequest: 2 offset (varint), 3 payload (bytes), 4 crc32c (fixed32).
_OFFSET, _PAYLOAD, _CRC32C = b"\x10", b"\x1a", b"\x25"


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def chunk_message(offset: int, parts: list[Array]) -> bytes:
    """One serialized UploadRequest whose payload is the parts' memory, one after another."""
    crc = 0
    for part in parts:
        crc = google_crc32c.extend(crc, part)
    size = sum(part.nbytes for part in parts)
    head = _OFFSET + _varint(offset) + _PAYLOAD + _varint(size)
    tail = _CRC32C + crc.to_bytes(4, "little")
    return b"".join([head, *(part.data.cast("B") for part in parts), tail])


def _stream(upload_id: str, block: Block, chunks: list[tuple[int, int]]) -> Iterator[bytes]:
    yield dataset.UploadRequest(upload_id=upload_id).SerializeToString()
    for first, count in chunks:
        yield chunk_message(first, block.slices(first, count))


def upload(channel: Channel, upload_id: str, block: Block) -> None:
    """Send all rows; any error of a stream ends the others and is raised."""
    chunks = list(block.chunks(CHUNK_BYTES))
    each = -(-len(chunks) // STREAMS)
    shares = [chunks[first : first + each] for first in range(0, len(chunks), each)]
    channel.up(UPLOAD, [_stream(upload_id, block, share) for share in shares])
