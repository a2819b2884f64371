"""Files whose header promises what is not there, put together byte by byte."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from pathlib import Path


def png(width: int, height: int, rows: bytes, bits: int = 8, colours: int = 2) -> bytes:
    """Return a PNG that claims `width` x `height` pixels and holds `rows`."""
    header = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        png_chunk(kind, body)
        for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    )


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk of a PNG with its length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_with(picture: bytes, kind: bytes, body: bytes) -> bytes:
    """Return the PNG `picture` with one more chunk after its header."""
    return picture[:33] + png_chunk(kind, body) + picture[33:]


def blank_rows(width: int, height: int, bytes_per_pixel: int = 3) -> bytes:
    """Return the rows of a black PNG, each with its filter."""
    return bytes((1 + width * bytes_per_pixel) * height)


def gif(width: int, height: int) -> bytes:
    """Return a GIF of one frame that claims `width` x `height` pixels."""
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + screen + frame + b";"


def safetensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    """Return a safetensors file with that header, which claims to be `length` bytes long."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def npy(shape: str, dtype: str = "'<f4'", data: bytes = b"") -> bytes:
    """Return an array file with a header of that text."""
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) % 65536) + text + data


def npz(path: Path, **members: bytes) -> Path:
    """Write an .npz file of these array files, packed."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def patched(content: bytes, box: bytes, offset: int, field: bytes) -> bytes:
    """Return `content` with `field` written `offset` bytes after the name of each such box."""
    place, changed = content.find(box), bytearray(content)
    assert place >= 0, box
    while place >= 0:
        start = place + len(box) + offset
        changed[start : start + len(field)] = field
        place = content.find(box, start)
    return bytes(changed)
