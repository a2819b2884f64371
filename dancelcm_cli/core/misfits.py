"""What is wrong with tensors that should fill a network, in words for the person who gave them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from dancelcm_cli.errors import InputError

SHOWN = 10
Shapes = Mapping[str, tuple[int, ...]]


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each of `tensors`."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def list_misfits(expected: Shapes, found: Shapes) -> list[str]:
    """Name every tensor that is missing, unknown or of another shape, in alphabetical order."""
    missing = [f"missing {name}" for name in expected.keys() - found.keys()]
    unknown = [f"unknown {name}" for name in found.keys() - expected.keys()]
    misshapen = [
        f"misshapen {name}: {found[name]} for {expected[name]}"
        for name in expected.keys() & found.keys()
        if found[name] != expected[name]
    ]
    return sorted(missing + unknown + misshapen)


def refuse_misfits(what: str, misfits: list[str], hint: str) -> None:
    """Raise if there are `misfits`, naming the first ten and how many there are.

    Raises:
        InputError: there are.
    """
    if misfits:
        raise InputError(
            f"{what}: {len(misfits)} tensors, such as {'; '.join(misfits[:SHOWN])}.", hint=hint
        )


def fill(module: nn.Module, tensors: Mapping[str, Tensor], source: object) -> None:
    """Make `tensors` the weights of `module`, without a copy.

    Raises:
        InputError: one is missing, left over or misshapen; `module` is as it was.
    """
    refuse_misfits(
        f"{source} does not fit {type(module).__name__}",
        list_misfits(shapes_of(module.state_dict()), shapes_of(tensors)),
        hint="Check that it is the file it is named after, and fetch it again.",
    )
    module.load_state_dict(tensors, assign=True)
