"""The ground-truth head (eq. 5 of the paper): beside the output in training, gone in inference."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dancelcm_cli.core.unet import DanceUNet


class AuxiliaryHead(nn.Module):
    """A second output layer on the network's last features, for the v of the real latents.

    It starts as a copy of the network's own output layer, so that its first loss is the teacher's
    denoising loss. Its gradients reach the whole network; its answer need not agree with the
    output's, which is asked for a jump to an edge.
    """

    def __init__(self, unet: DanceUNet) -> None:
        super().__init__()
        groups, channels = unet.norm_out.num_groups, unet.norm_out.num_channels
        self.norm = nn.GroupNorm(groups, channels)
        self.conv = nn.Conv2d(channels, unet.conv_out.out_channels, 3, padding=1)
        self.norm.load_state_dict(unet.norm_out.state_dict())
        self.conv.load_state_dict(unet.conv_out.state_dict())

    def forward(self, features: Tensor) -> Tensor:
        """Map features `(N, C', h, w)` of `DanceUNet.features` to v `(N, C, h, w)`."""
        return self.conv(F.silu(self.norm(features)))
