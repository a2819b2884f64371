from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from dancelcm_cli.animate.motion import Motion
from dancelcm_cli.animate.record import Facts, Job, Model, is_made, make_metadata, make_record
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.data.fingerprint import folder_sha256

MOTION = Motion("person", Fraction(12), (384, 256), (0, 1, 2), None)
FACTS = Facts(
    MOTION, face=True, sound=False, small_decoder=False, seam_ratio=1.01234, seconds=1.23456
)


@pytest.fixture
def job(
    model: Path, photo: Path, dancer: Path, make_recipe: Callable[..., Recipe], tmp_path: Path
) -> Job:
    """A job whose inputs may be changed."""
    for source in (photo, dancer, dancer.with_suffix(".npz")):
        shutil.copy(source, tmp_path)
    shutil.copytree(model, tmp_path / "model")
    inputs = (tmp_path / photo.name, tmp_path / dancer.name)
    return Job(*inputs, tmp_path / "me.mp4", Model(tmp_path / "model"), make_recipe("seed=3"))


@pytest.fixture
def record(job: Job, tmp_path: Path) -> Path:
    path = tmp_path / "me.json"
    path.write_text(json.dumps(make_record(job, True, FACTS)))
    return path


def test_a_record_says_what_was_made_of_what(job: Job, record: Path) -> None:
    content = json.loads(record.read_text())
    assert "synthetic" in content["content"]
    assert (content["seed"], content["steps"], content["seconds"]) == (3, 2, 1.235)
    assert content["model_sha256"] == folder_sha256(job.model.path)
    assert content["versions"].keys() == {"dancelcm", "torch"}


def test_metadata_say_it_in_short(job: Job) -> None:
    metadata = make_metadata(job)
    assert "synthetic media" in metadata["comment"]
    said = json.loads(metadata["description"])
    assert (said["seed"], said["steps"]) == (3, 2)
    assert said["model_sha256"] == job.model.sha256


def test_the_same_job_is_made_whoever_asks_and_wherever(job: Job, record: Path) -> None:
    assert is_made(job, True, record)
    copied = Path(shutil.copy(job.reference, job.reference.with_name("copy.png")))
    assert is_made(replace(job, reference=copied, output=Path("elsewhere.mp4")), True, record)


def test_a_job_that_differs_in_anything_is_not_made(
    job: Job, record: Path, make_recipe: Callable[..., Recipe]
) -> None:
    assert not is_made(job, False, record)
    assert not is_made(replace(job, recipe=make_recipe("seed=4")), True, record)
    for part in ("picture", "driving", "keypoints", "model"):
        path = {
            "picture": job.reference,
            "driving": job.driving,
            "keypoints": job.driving.with_suffix(".npz"),
            "model": job.model.path / "model_index.json",
        }[part]
        before = path.read_bytes()
        path.write_bytes(before + b" ")
        assert not is_made(replace(job, model=Model(job.model.path)), True, record), part
        path.write_bytes(before)
    assert is_made(job, True, record)


@pytest.mark.parametrize("content", ["", "no json", "[]", "{}", '{"format_version": 2}'])
def test_a_record_of_something_else_proves_nothing(job: Job, record: Path, content: str) -> None:
    record.write_text(content)
    assert not is_made(job, True, record)
    assert not is_made(job, True, record.with_name("missing.json"))
