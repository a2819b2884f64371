from pathlib import Path

import pytest

from dancelcm_cli.evaluate.frame_log import (
    FRAME_LOG,
    join_frame_logs,
    open_frame_log,
    read_curves,
)


def test_what_several_processes_logged_reads_back_as_one(tmp_path: Path) -> None:
    parts = [tmp_path / f"{rank}.gz" for rank in range(2)]
    for rank, part in enumerate(parts):
        with open_frame_log(part) as log:
            log.add("ours, 4 steps", f"dance{rank}", 7, {"psnr": 20.5 + rank, "mae": 3})
    whole = tmp_path / FRAME_LOG
    join_frame_logs(parts, whole)
    assert read_curves(whole, ["dance0", "dance1"]) == {
        f"dance{rank}": {"ours, 4 steps": {"psnr": {7: 20.5 + rank}, "mae": {7: 3.0}}}
        for rank in range(2)
    }
    assert read_curves(whole, ["dance1", "unknown"]).keys() == {"dance1", "unknown"}
    assert [path.name for path in tmp_path.iterdir()] == [FRAME_LOG]


def test_the_same_values_are_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for moment in (1e9, 2e9):
        monkeypatch.setattr("time.time", lambda moment=moment: moment)
        with open_frame_log(tmp_path / f"{moment}-part.gz") as log:
            log.add("ours", "dance0", 7, {"psnr": 20.5})
        join_frame_logs([tmp_path / f"{moment}-part.gz"], tmp_path / f"{moment}.gz")
    first, second = (path.read_bytes() for path in tmp_path.iterdir())
    assert first == second


def test_an_interrupted_log_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), open_frame_log(tmp_path / "log.gz") as log:
        log.add("ours", "dance0", 0, {"psnr": 20})
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
