from __future__ import annotations

import json
from pathlib import Path

import pytest

from dancelcm_cli.app import app, main

SMALL = ["--steps", "2", "--set", "preprocess.height=96", "--set", "preprocess.width=64"]
STAGES = ["find the dancer", "encode the picture", "network", "decode", "write"]


@pytest.mark.slow
def test_every_stage_is_measured_and_the_networks_have_a_floor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DANCELCM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(lambda: app(["bench", "--json", "--device", "cpu", "--frames", "4", *SMALL]))
    assert not stop.value.code
    told = json.loads(capsys.readouterr().out)
    assert (told["num_frames"], told["steps"]) == (4, 2)
    assert [stage["name"] for stage in told["stages"]] == STAGES
    assert all(stage["seconds"] > 0 for stage in told["stages"])
    for stage in told["stages"]:
        floor = stage["floor_seconds"]
        assert (floor is not None) == (stage["name"] in ("network", "decode"))
        assert floor is None or stage["seconds"] > floor > 0
    assert not [path for path in tmp_path.iterdir() if path.name != "cache"]
