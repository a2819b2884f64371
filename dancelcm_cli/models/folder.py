"""What a model folder may hold, and how this stage writes one: new, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusers import DDIMScheduler
from torch import nn
from transformers.utils.logging import disable_progress_bar

from dancelcm_cli.core.perflow_scheduler import PeRFlowScheduler
from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.data.atomic import atomic_folder, remove_temporaries_of, require_writable
from dancelcm_cli.data.claim import claimed_name
from dancelcm_cli.errors import InputError

SCHEDULERS: dict[str, Any] = {kind.__name__: kind for kind in (DDIMScheduler, PeRFlowScheduler)}
SHARD_SIZE = "1GB"  # some versions of safetensors copy a file's tensors before they write it


@dataclass(frozen=True)
class Converted:
    """A model folder that was made, and how many numbers each of its parts has learnt."""

    folder: Path
    parameters: dict[str, int]


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `output` if the block succeeds.

    Raises:
        InputError: `output` exists, or another process makes it.
    """
    with making(output), atomic_folder(output) as temporary:
        yield temporary


@contextmanager
def making(output: Path) -> Iterator[None]:
    """Within, `output`, which is not there yet, is made by this process alone.

    Raises:
        InputError: `output` exists, cannot be made, or another process makes it.
    """
    require_free(output)
    with claimed_name(output):
        remove_temporaries_of(output)
        yield


def save(pipeline: DancePipeline, folder: Path) -> dict[str, int]:
    """Write the parts of `pipeline` and return how many numbers each has learnt."""
    disable_progress_bar()  # ours is enough
    pipeline.save_pretrained(folder, max_shard_size=SHARD_SIZE)
    return {
        name: sum(parameter.numel() for parameter in part.parameters())
        for name, part in pipeline.components.items()
        if isinstance(part, nn.Module)
    }


def require_free(output: Path) -> None:
    """Refuse before the work to replace what is there, or a place that cannot be written to.

    Raises:
        InputError: `output` exists, or cannot be made.
    """
    if output.exists():
        raise InputError(
            f"{output} must not exist yet, but it does.",
            hint="Remove it, or give another path by --output.",
        )
    require_writable(output.parent)
