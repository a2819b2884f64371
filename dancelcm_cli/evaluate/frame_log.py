"""Every frame's scores in a file that grows while videos are scored, so that none stay in memory.

`per_frame.csv.gz` has a line for each value: row, video, frame, metric, value.
"""

from __future__ import annotations

import csv
import gzip
import io
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dancelcm_cli.data.atomic import atomic_path
from dancelcm_cli.evaluate.foreign_names import as_cell, from_cell
from dancelcm_cli.evaluate.meters import Values

FRAME_LOG = "per_frame.csv.gz"
KEPT_BYTES = "surrogateescape"  # of names that are no UTF-8
COLUMNS = ("row", "video", "frame", "metric", "value")

# By video, row and metric: the values of frames by their index in the true video.
Curves = dict[str, dict[str, dict[str, dict[int, float]]]]


class FrameLog:
    """Writes the values of frames as they come."""

    def __init__(self, text: io.TextIOBase | None = None) -> None:
        self._writer = None if text is None else csv.writer(text, lineterminator="\n")

    def add(self, row: str, video: str, index: int, values: Values) -> None:
        """Write what was measured of the frame `index` of `video` in `row`."""
        if self._writer is not None:
            shown = as_cell(row), as_cell(video), index
            self._writer.writerows((*shown, name, f"{value:.6g}") for name, value in values.items())


@contextmanager
def open_frame_log(path: Path) -> Iterator[FrameLog]:
    """Give a log that is at `path` once the block succeeds."""
    with ExitStack() as stack:
        temporary = stack.enter_context(atomic_path(path))
        file = stack.enter_context(temporary.open("wb"))
        # Without a name and a time in its head, the same values are the same bytes.
        packed = stack.enter_context(gzip.GzipFile("", "wb", fileobj=file, mtime=0))
        yield FrameLog(stack.enter_context(io.TextIOWrapper(packed, "utf-8", KEPT_BYTES, "")))


def join_frame_logs(parts: Sequence[Path], path: Path) -> None:
    """Put the logs `parts`, which go away, into one, under a line of headings."""
    with atomic_path(path) as temporary, temporary.open("wb") as whole:
        whole.write(gzip.compress(f"{','.join(COLUMNS)}\n".encode(), mtime=0))
        for part in parts:  # what was compressed in pieces is read as one
            with part.open("rb") as content:
                shutil.copyfileobj(content, whole)
    for part in parts:
        part.unlink()


def read_curves(path: Path, videos: Iterable[str]) -> Curves:
    """Return the values of the frames of `videos`."""
    curves: Curves = {video: {} for video in videos}
    with gzip.open(path, "rt", encoding="utf-8", newline="", errors=KEPT_BYTES) as text:
        for line in csv.DictReader(text):
            video = from_cell(line["video"])
            if video in curves:
                row = curves[video].setdefault(from_cell(line["row"]), {})
                row.setdefault(line["metric"], {})[int(line["frame"])] = float(line["value"])
    return curves
