"""Compiled networks: torch.compile, block by block."""

from __future__ import annotations

from typing import TypeVar

import torch
from diffusers.models.resnet import ResnetBlock2D
from torch import nn

from dancelcm_cli.core.attention import SpatialTransformer, TemporalTransformer
from dancelcm_cli.core.blocks import ResBlock
from dancelcm_cli.core.patch_autoencoder import ResidualBlock

Network = TypeVar("Network", bound=nn.Module)

# What repeats: in the network, in UniAnimate's autoencoder and in the small one.
REGIONS = (ResBlock, SpatialTransformer, TemporalTransformer, ResnetBlock2D, ResidualBlock)
REGION_SHAPES = 64  # more than there are at once; torch gives up on a class after eight by default


def compile_regions(network: Network) -> Network:
    """Have torch compile the blocks that a network is made of when they are first called.

    Blocks of one kind and shape share what is compiled, so that it takes a fraction of what the
    whole network would take. Another size or number of frames compiles anew.
    """
    torch._dynamo.config.recompile_limit = REGION_SHAPES
    for module in network.modules():
        if isinstance(module, REGIONS):
            module.compile(dynamic=False)
    return network
