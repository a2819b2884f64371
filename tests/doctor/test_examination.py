from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.doctor.check import Check
from dancelcm_cli.doctor.examination import _torch_build, attempt, prevents_animation
from dancelcm_cli.doctor.libraries import TorchBuild
from dancelcm_cli.doctor.model import check_model, check_pose_networks, check_video_reader
from dancelcm_cli.errors import WeightsMissingError

STUDENT = bundled("tiny/student")


def test_whatever_a_check_raises_is_its_finding() -> None:
    def known() -> Check:
        raise WeightsMissingError("No weights.", hint="Fetch them.")

    def unknown() -> Check:
        raise ZeroDivisionError("of\nsomething")

    assert attempt("a", known) == Check("a", "fail", "No weights.", "Fetch them.")
    assert attempt("b", unknown).found == "ZeroDivisionError: of something"


def test_a_gpu_that_cannot_be_asked_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(index: int) -> None:
        raise RuntimeError("CUDA error:\nunknown error")

    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.get_device_properties", refuse)
    build = _torch_build()
    assert isinstance(build, TorchBuild)
    assert (build.gpus, build.broken) == ((), ("GPU 0: CUDA error: unknown error",))


def test_only_a_failure_keeps_the_model_from_animating() -> None:
    checks = [Check("a", "ok", ""), Check("b", "warn", "", "c")]
    assert not prevents_animation(checks)
    assert prevents_animation([*checks, Check("d", "fail", "", "e")])


def test_what_is_bundled_works() -> None:
    picture = bundled("samples/reference.png")
    assert check_pose_networks(bundled("blazepose"), picture).state == "ok"
    assert "256 x 384" in check_video_reader(bundled("samples/driving.mp4")).found
    assert check_model(STUDENT).state == "ok"


def test_a_model_of_other_numbers_has_another_fingerprint_or_fails(tmp_path: Path) -> None:
    broken = shutil.copytree(STUDENT, tmp_path / "broken")
    weights = broken / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    save_file({name: tensor * float("nan") for name, tensor in tensors.items()}, weights)
    check = check_model(broken)
    assert check.state == "fail"
    assert check.found.split(":")[0] not in check_model(STUDENT).found
    weights.unlink()
    assert attempt("bundled model", lambda: check_model(broken)).state == "fail"


def test_a_picture_of_nobody_fails_the_pose_networks(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (64, 96), "grey").save(tmp_path / "grey.png")
    check = check_pose_networks(bundled("blazepose"), tmp_path / "grey.png")
    assert (check.state, bool(check.fix)) == ("fail", True)


@pytest.mark.slow
def test_the_command_tells_people_and_programs_the_same() -> None:
    import json

    from typer.testing import CliRunner

    from dancelcm_cli.app import app

    table, listing = (CliRunner().invoke(app, ["doctor", *flags]) for flags in ([], ["--json"]))
    content = json.loads(listing.stdout)
    assert (table.exit_code == 0) == (listing.exit_code == 0) == content["can_animate"]
    assert {"Python", "torch", "ffmpeg", "bundled model"} <= {
        check["name"] for check in content["checks"]
    }
    for check in content["checks"]:
        assert f"│ {check['name']} " in table.stdout
        assert (check["state"] == "ok") == (check["fix"] == "")
