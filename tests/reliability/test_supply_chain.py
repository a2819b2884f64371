"""What comes from elsewhere: weights, packages, and the actions that check us."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from dancelcm_cli.data.downloads import fetch_files
from dancelcm_cli.data.weight_table import WEIGHTS, Licence, WeightFile
from dancelcm_cli.errors import InputError
from dancelcm_cli.progress import SilentProgress

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "dancelcm_cli").rglob("*.py"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
WITHOUT_STATED_HASH = {"unianimate"}  # nobody states it: it is recorded at the first use
RUNS_CODE = {".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth", ".onnx", ".so", ".npy"}
FETCHES = {  # calls of third parties that would get weights from the network
    "hf_hub_download",
    "load_state_dict_from_url",
    "snapshot_download",
    "urlopen",
    "urlretrieve",
}
HTTP_HOME = ROOT / "dancelcm_cli" / "data" / "http_download.py"

every_module = pytest.mark.parametrize(
    "module", MODULES, ids=lambda path: str(path.relative_to(ROOT))
)
every_file = pytest.mark.parametrize("file", WEIGHTS, ids=lambda file: file.name)
every_workflow = pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)


def agree(licence: Licence, names: Sequence[str]) -> bool:
    return True


@every_file
def test_a_forged_weight_file_is_never_kept(
    file: WeightFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = SimpleNamespace(free=2**40)  # the forgery takes none, but the stated size is looked for
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: room)
    copies, kept = tmp_path / "copies", tmp_path / "weights"
    copies.mkdir()
    (copies / file.file_name).write_bytes(b"first")
    if file.name in WITHOUT_STATED_HASH:
        (path,) = fetch_files([file.name], kept, copies, True, agree, SilentProgress())
        path.unlink()
        (copies / file.file_name).write_bytes(b"other")
    with pytest.raises(InputError, match=r"The sha256 of .* must be"):
        fetch_files([file.name], kept, copies, True, agree, SilentProgress())
    assert not [path for path in kept.rglob("*") if path.name == file.file_name]


def test_every_hash_that_somebody_states_is_written_down() -> None:
    assert {file.name for file in WEIGHTS if file.sha256 is None} == WITHOUT_STATED_HASH


@every_module
def test_nothing_is_fetched_but_by_our_own_downloads(module: Path) -> None:
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
            assert module == HTTP_HOME or not names & {"requests", "urllib.request", "torch.hub"}
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func).split(".")[-1] not in FETCHES
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            assert given.get("pretrained", "None") == "None"  # facenet_pytorch's downloads
            assert "trust_remote_code" not in given


def test_no_bundled_file_could_run_code() -> None:
    suffixes = {path.suffix for path in (ROOT / "assets").rglob("*") if path.is_file()}
    assert suffixes and not suffixes & RUNS_CODE


def uses(workflow: Path) -> Iterator[tuple[str, str]]:
    """Yield the actions of a workflow with their versions."""
    for action in re.findall(r"\buses: *(\S+)", workflow.read_text(encoding="utf-8")):
        name, _, version = action.partition("@")
        yield name, version


@every_workflow
def test_actions_are_pinned_and_githubs_own(workflow: Path) -> None:
    assert list(uses(workflow))
    for name, version in uses(workflow):
        assert re.fullmatch(r"actions/[\w-]+", name)
        assert re.fullmatch(r"v\d+(\.\d+)*|[0-9a-f]{40}", version)


@every_workflow
def test_a_workflow_may_read_and_nothing_else(workflow: Path) -> None:
    text = workflow.read_text(encoding="utf-8")
    assert re.findall(r"^ *permissions:\n((?: +.*\n)+?)\n", text, re.MULTILINE) == [
        "  contents: read\n"
    ]
    assert "pull_request_target" not in text  # would hand the project's token to strangers' code
    assert "secrets." not in text


def test_the_checks_hold_what_is_promised_of_packages() -> None:
    text = "\n".join(workflow.read_text(encoding="utf-8") for workflow in WORKFLOWS)
    for command in (
        "--resolution lowest-direct",
        "pipx run pip-audit",
        "pipx run build",
        "dist/*.whl",
        "dist/*.tar.gz",
    ):
        assert command in text
    for script in re.findall(r"(\.ci/\S+)", text):
        assert (ROOT / script).stat().st_mode & 0o111
