"""A disk of a few pages, whose size and number of files can be changed while it is in use.

It is a tmpfs in a mount namespace of this process alone, so that every writer meets its end:
Python, safetensors, Pillow and ffmpeg.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
PLENTY = 2**18  # pages and files
INSIDE = "DANCELCM_TEST_NAMESPACE"  # set in a process that may mount
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


@dataclass(frozen=True)
class Taken:
    """What is taken of a disk: pages of content, and files and folders."""

    pages: int
    files: int


class SmallDisk:
    """A disk that is mounted at `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> SmallDisk:
        self.folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "none", str(self.folder)], check=True)
        self.limit()
        return self

    def __exit__(self, *failure: object) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def limit(self, pages: int = PLENTY, files: int = PLENTY) -> None:
        """Let it have that many pages and files in all."""
        options = f"remount,size={pages * PAGE},nr_inodes={files}"
        subprocess.run(["mount", "-o", options, str(self.folder)], check=True)

    @property
    def taken(self) -> Taken:
        """What is taken at this moment."""
        state = os.statvfs(self.folder)
        return Taken(state.f_blocks - state.f_bfree, state.f_files - state.f_ffree)

    def clear(self) -> None:
        """Remove everything, and give it plenty of room."""
        self.limit()
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def may_mount() -> bool:
    """Tell whether this machine lets a user mount a disk in a namespace of their own."""
    if shutil.which(NAMESPACE[0]) is None:
        return False
    probe = [*NAMESPACE, "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def enter_namespace(module: str) -> None:
    """Run `module` again with the same arguments in a namespace where it may mount."""
    if os.environ.get(INSIDE) != "1":
        command = [*NAMESPACE, sys.executable, "-m", module, *sys.argv[1:]]
        os.execvpe(command[0], command, {**os.environ, INSIDE: "1"})
