"""Real files made wrong: a mutation is a function of the file and a seed."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

from tests.reliability.hostile.repacking import repack

Mutation = Callable[[bytes, Sequence[bytes], random.Random], bytes]

MOST_MUTATIONS = 4  # of one file
MOST_REPEATED = 1 << 16  # bytes that a repetition adds
HEAD = 512  # bytes in which most formats say what follows
EDGES = (0, 1, -1, 0x7F, 0x80, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 2**63 - 1, -(2**63))
NUMBER = re.compile(rb"-?\d+(\.\d+)?([eE][+-]?\d+)?")
LITERALS = (
    *(b"0", b"-1", b"1e308", b"-1e308", b"1e400", b"NaN", b"-Infinity", b"inf", b"nan"),
    *(b"9223372036854775808", b"1" * 5000, b"null", b"true", b'"text"', b"[]", b"{}", b'""'),
    *(b"[" * 3000, b'{"a":' * 3000, b"[[[[[]]]]]", b'"../../../etc/passwd"', b'"\\ud800"', b""),
)


def mutate(content: bytes, others: Sequence[bytes], seed: int) -> bytes:
    """Return `content` with one to four mutations; `others` are files to splice in.

    Half of the files that have an envelope are changed inside of it.
    """
    stream = random.Random(seed)

    def change(content: bytes) -> bytes:
        for _ in range(stream.randint(1, MOST_MUTATIONS)):
            content = stream.choice(MUTATIONS)(content, others, stream)
        return content

    repacked = repack(content, change, stream) if stream.random() < 0.5 else None
    return change(content) if repacked is None else repacked


def _flip(content: bytes, others: Sequence[bytes], stream: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(stream.choice((1, 1, 2, 8, 64))):
        if changed:
            changed[_place(changed, stream)] ^= 1 << stream.randrange(8)
    return bytes(changed)


def _overwrite(content: bytes, others: Sequence[bytes], stream: random.Random) -> bytes:
    start, length = _place(content, stream), stream.choice((1, 4, 32, 512))
    return content[:start] + stream.randbytes(length) + content[start + length :]


def _truncate(content: bytes, others: Sequence[bytes], stream: random.Random) -> bytes:
    return content[: _place(content, stream)]


def _zero(content: bytes, others: Sequence[bytes], stream: random.Random) -> bytes:
    start, length = _place(content, stream), stream.choice((4, 64, 4096))
    return content[:start] + bytes(length) + content[start + length :]


def _repeat(content: bytes, others: Sequence[bytes], stream: random.Random) -> bytes:
    start, length = _place(content, stream), stream.choice((1, 16, 256, 4096))
    piece = content[start : start + length]
    times = min(stream.choice((2, 16, 1024)), MOST_REPEATED // max(1, len(piece)) + 1)
    return content[:start] + piece * times + content[start:]


def _remove(content: bytes, others: Sequence[bytes], stream: random.Random) -> bytes:
    start = _place(content, stream)
    return content[:start] + content[start + stream.choice((1, 4, 64, 4096)) :]


def _splice(content: bytes, others: Sequence[bytes], stream: random.Random) -> bytes:
    other = stream.choice(others)
    return content[: _place(content, stream)] + other[_place(other, stream) :]


def _edge(content: bytes, others: Sequence[bytes], stream: random.Random) -> bytes:
    """Put the least, greatest or another awkward number where a field may be."""
    width = stream.choice((1, 2, 4, 4, 8))
    number = stream.choice(EDGES) % 256**width
    start = _place(content, stream)
    field = number.to_bytes(width, stream.choice(("little", "big")))
    return content[:start] + field + content[start + width :]


def _literal(content: bytes, others: Sequence[bytes], stream: random.Random) -> bytes:
    """Put an awkward text in the place of a number, where numbers are written as text."""
    found = [match.span() for match in NUMBER.finditer(content[: 64 * HEAD])]
    if not found:
        return _flip(content, others, stream)
    start, end = stream.choice(found)
    return content[:start] + stream.choice(LITERALS) + content[end:]


def _place(content: bytes | bytearray, stream: random.Random) -> int:
    """Return a place in the content, or 0: often where its header is, or its last index."""
    size = len(content)
    low, high = stream.choice(((0, size), (0, min(size, HEAD)), (max(0, size - HEAD), size)))
    return stream.randrange(low, high) if high > low else 0


MUTATIONS: tuple[Mutation, ...] = (
    *(_flip, _overwrite, _truncate, _zero, _repeat, _remove, _splice, _edge, _edge, _literal),
)
