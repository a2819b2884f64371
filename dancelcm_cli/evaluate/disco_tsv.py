"""DisCo's data: tables with one encoded picture a line, unpacked into folders of pictures.

    TiktokDance_00337_0001.png <tab> base64 of the file

Pictures leave the table as they are, byte for byte, and are kept in the cache folder.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from dancelcm_cli.data.atomic import atomic_folder
from dancelcm_cli.data.weight_files import weights_folder
from dancelcm_cli.errors import InputError
from dancelcm_cli.evaluate.frame_names import disco_video

LONGEST_NAME = 255  # bytes


def find_test_tables(root: Path) -> list[Path]:
    """Return the tables of test pictures below `root`, DisCo's ten videos first."""
    tables = [*root.glob("*val*images*.tsv"), *root.glob("*/*val*images*.tsv")]
    return sorted(tables, key=lambda table: ("new10val" not in table.name, table))


def unpack_table(table: Path, videos: Sequence[str]) -> Path:
    """Return a folder that holds a folder of pictures for each of `videos` that are in `table`.

    Raises:
        InputError: A line is no name and picture.
    """
    state = table.stat()
    identity = f"{table.resolve()} {state.st_size} {state.st_mtime_ns} {' '.join(videos)}"
    key = hashlib.sha256(identity.encode()).hexdigest()[:16]
    folder = weights_folder().with_name("unpacked") / f"{table.stem}-{key}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(folder) as temporary:
        for name, content in _pictures(table):
            video = disco_video(name)
            if video in videos:
                path = temporary / str(video) / Path(name).name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content)
    return folder


def _pictures(table: Path) -> Iterator[tuple[str, bytes]]:
    with table.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            name, *columns = line.rstrip(b"\r\n").split(b"\t")
            try:
                if len(name) > LONGEST_NAME or b"\0" in name:
                    raise ValueError(f"{name[:LONGEST_NAME]!r} is no name of a file")
                yield name.decode(), base64.b64decode(columns[-1], validate=True)
            except (IndexError, ValueError) as error:
                raise InputError(
                    f"Line {number} of {table} must be a name, a tab and a picture in base64.",
                    hint="Download the file again: it seems to be cut off.",
                ) from error
