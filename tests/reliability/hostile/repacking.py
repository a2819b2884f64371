"""Files with an envelope made wrong inside of it: checksums and lengths are right, the rest is not.

A flipped bit in an archive ends at its checksum. What is behind that needs a change before it is
packed: in a member of a zip file, a chunk of a PNG, the header of a safetensors file, a value in
JSON.
"""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

Change = Callable[[bytes], bytes]

PNG = b"\x89PNG\r\n\x1a\n"
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, 10**400, 0.5, -0.0, 1e308, -1e308),
    *(float("nan"), float("inf"), "", "text", "../x", "/etc/passwd", "a" * 300, "a\0b", "\ud800"),
    *("a/b", ".", "..", [], {}, [1], [None], {"a": 1}, [[1, 2], [3]], [0] * 1000, "F32", "I64"),
)


def repack(content: bytes, change: Change, stream: random.Random) -> bytes | None:
    """Return `content` with a change inside its envelope, or None where it has none."""
    with suppress(ValueError, KeyError, struct.error, zlib.error, zipfile.BadZipFile, OSError):
        if content.startswith(b"PK"):
            return _zip(content, change, stream)
        if content.startswith(PNG):
            return _png(content, change, stream)
        if content[8:9] == b"{":
            return _safetensors(content, stream)
        if content.lstrip()[:1] in (b"{", b"["):
            return _json_lines(content, stream)
    return None


def change_value(tree: Any, stream: random.Random) -> Any:
    """Return a tree of JSON with one of its values, keys or items changed."""
    if isinstance(tree, dict) and tree and stream.random() < 0.9:
        key = stream.choice(list(tree))
        kept = {name: value for name, value in tree.items() if name != key}
        kind = stream.random()
        if kind < 0.1:
            return kept
        if kind < 0.2:
            return {**kept, key + "x": tree[key]}
        return {**tree, key: change_value(tree[key], stream)}
    if isinstance(tree, list) and tree and stream.random() < 0.7:
        place = stream.randrange(len(tree))
        return [*tree[:place], change_value(tree[place], stream), *tree[place + 1 :]]
    if isinstance(tree, str) and tree[:1] in "[{":  # JSON inside of JSON
        with suppress(ValueError):
            return json.dumps(change_value(json.loads(tree), stream))
    return stream.choice(VALUES)


def _zip(content: bytes, change: Change, stream: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {info: archive.read(info) for info in archive.infolist()}
    target = stream.choice(list(members))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for info, member in members.items():
            archive.writestr(info, change(member) if info is target else member)
    return packed.getvalue()


def _png(content: bytes, change: Change, stream: random.Random) -> bytes:
    chunks, place = [], len(PNG)
    while place < len(content):
        (length,) = struct.unpack_from(">I", content, place)
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + length]))
        place += length + 12
    target = stream.randrange(len(chunks))
    kind, body = chunks[target]
    inside = kind == b"IDAT" and stream.random() < 0.5
    chunks[target] = (
        kind,
        zlib.compress(change(zlib.decompress(body))) if inside else change(body),
    )
    return PNG + b"".join(map(_chunk, chunks))


def _chunk(chunk: tuple[bytes, bytes]) -> bytes:
    kind, body = chunk
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _safetensors(content: bytes, stream: random.Random) -> bytes:
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    changed = json.dumps(change_value(header, stream)).encode()
    return struct.pack("<Q", len(changed)) + changed + content[8 + length :]


def _json_lines(content: bytes, stream: random.Random) -> bytes:
    try:
        return json.dumps(change_value(json.loads(content), stream)).encode()
    except ValueError:
        lines = content.splitlines()
        place = stream.randrange(len(lines))
        lines[place] = json.dumps(change_value(json.loads(lines[place]), stream)).encode()
        return b"\n".join([*lines, b""])
