import errno
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dancelcm_cli.config.loading import load_recipe
from dancelcm_cli.config.schema import Recipe
from dancelcm_cli.errors import SAME_AGAIN, ConfigError, InputError, refused_by_system
from dancelcm_cli.training.run_folder import RunInputs, noted_run, open_run, resume_command

INPUTS = RunInputs("train", Path("shards"), None)


@contextmanager
def running(
    output: Path, inputs: RunInputs = INPUTS, *, resume: bool = False, seed: int = 7
) -> Iterator[RunInputs]:
    with (
        open_run(output, inputs, resume=resume) as used,
        noted_run(output, used, Recipe(seed=seed), resume=resume),
    ):
        yield used


def start(output: Path, inputs: RunInputs = INPUTS, *, resume: bool = False) -> RunInputs:
    with running(output, inputs, resume=resume) as used:
        return used


def test_a_resumed_run_reads_what_it_read_before(tmp_path: Path) -> None:
    inputs = RunInputs("train", tmp_path / "shards", tmp_path / "teacher")
    assert start(tmp_path / "run", inputs) == inputs
    assert start(tmp_path / "run", resume=True) == inputs


def test_a_resumed_run_finds_its_inputs_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    start(tmp_path / "run")
    monkeypatch.chdir("/")
    assert start(tmp_path / "run", resume=True).shards == tmp_path / "shards"


def test_the_recipe_of_a_run_can_be_fed_back(tmp_path: Path) -> None:
    start(tmp_path)
    assert load_recipe(tmp_path / "recipe.toml") == Recipe(seed=7)


def test_a_used_folder_is_refused_with_the_command_that_continues_it(tmp_path: Path) -> None:
    start(tmp_path)
    with pytest.raises(InputError, match="must not hold a run already") as caught:
        start(tmp_path)
    assert caught.value.hint.endswith(resume_command("train", tmp_path))


@pytest.mark.parametrize("error", [InputError, ConfigError])
def test_a_run_that_is_refused_before_its_first_step_leaves_the_folder_free(
    tmp_path: Path, error: type[Exception]
) -> None:
    with pytest.raises(error), running(tmp_path):
        raise error("misspelt")
    corrected = RunInputs("train", tmp_path / "shards", None)
    assert start(tmp_path, corrected) == corrected


def test_a_resume_that_is_refused_leaves_the_recipe_as_it_was(tmp_path: Path) -> None:
    start(tmp_path)
    with pytest.raises(ConfigError), open_run(tmp_path, INPUTS, resume=True):
        raise ConfigError("nothing of it fits")
    assert load_recipe(tmp_path / "recipe.toml") == Recipe(seed=7)
    with pytest.raises(InputError), running(tmp_path, resume=True, seed=8):
        raise InputError("a shard is damaged")
    assert load_recipe(tmp_path / "recipe.toml") == Recipe(seed=8)


def test_a_run_with_a_checkpoint_is_never_given_up(tmp_path: Path) -> None:
    with pytest.raises(InputError), running(tmp_path):
        (tmp_path / "checkpoints").mkdir()
        raise InputError("a shard is damaged")
    start(tmp_path, resume=True)


@pytest.mark.parametrize("name", ["recipe.toml", "run.json"])
def test_what_was_asked_of_a_resume_is_asked_again_where_it_could_not_be_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    start(tmp_path)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / name))
    replace = os.replace

    def refuse(source: Path, target: Path) -> None:
        if target.name == name:
            raise full
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError) as refused:
        start(tmp_path, resume=True)  # with more steps, for example: the folder knows of the old
    assert refused_by_system(refused.value).hint.endswith(SAME_AGAIN)
    with monkeypatch.context() as disk:
        disk.setattr(os, "replace", replace)
        with pytest.raises(InputError) as error, running(tmp_path, resume=True):
            raise full
    assert error.value.hint.endswith(resume_command("train", tmp_path))


def test_a_folder_without_a_run_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no run\.json"):
        start(tmp_path / "nothing", resume=True)
    assert not (tmp_path / "nothing").exists()


def test_a_run_is_resumed_by_the_command_that_began_it(tmp_path: Path) -> None:
    run = tmp_path / "run"
    start(run, RunInputs("distill", tmp_path, None))
    kept = (run / "run.json").read_text()
    with pytest.raises(InputError, match="dancelcm distill") as error:
        start(run, resume=True)
    assert error.value.hint == f"Continue it with: {resume_command('distill', run)}"
    assert (run / "run.json").read_text() == kept


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    with (
        running(tmp_path),
        pytest.raises(InputError, match="must not be in use"),
    ):
        start(tmp_path, resume=True)
    start(tmp_path, resume=True)


def test_the_resuming_command_survives_a_shell() -> None:
    folder = Path("my runs/it's one")
    words = shlex.split(resume_command("distill", folder))
    assert words == ["dancelcm", "distill", "--resume", str(folder)]
