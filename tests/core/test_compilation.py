from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from dancelcm_cli.core.compilation import REGIONS, compile_regions
from dancelcm_cli.core.conditioning import Conditions
from dancelcm_cli.core.patch_autoencoder import PatchAutoencoder
from dancelcm_cli.core.unet import DanceUNet
from tests.core.tiny_unet import speaking, tiny_unet


@pytest.fixture(autouse=True)
def fresh_compiler() -> None:
    """Forget what other tests compiled: whether a shape is new must not depend on their order."""
    torch.compiler.reset()


@pytest.fixture
def unet() -> DanceUNet:
    """A network of one level, which has every kind of region, none of whose weights is zero."""
    torch.manual_seed(0)
    return speaking(tiny_unet(face_tokens="vae"))


@pytest.fixture
def conditions(make_conditions: Callable[..., Conditions]) -> Conditions:
    return make_conditions(0)


@torch.no_grad()
def velocity(unet: DanceUNet, conditions: Conditions) -> Tensor:
    stream = torch.Generator().manual_seed(9)
    latents = torch.randn(1, 4, conditions.num_frames, 8, 8, generator=stream)
    return unet(latents, torch.tensor([499]), unet.encode_conditions(conditions))


def regions(network: nn.Module) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, REGIONS)]


@pytest.mark.slow
def test_no_region_breaks_into_several_graphs(unet: DanceUNet, conditions: Conditions) -> None:
    expected = velocity(unet, conditions)
    for region in regions(unet):
        region.compile(backend="eager", fullgraph=True, dynamic=False)
    torch.testing.assert_close(velocity(unet, conditions), expected, rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the compiler's own
def test_a_compiled_network_predicts_what_it_did_before(
    unet: DanceUNet, conditions: Conditions
) -> None:
    expected = velocity(unet, conditions)
    found = velocity(compile_regions(unet), conditions)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@torch.no_grad()
def test_a_compiled_autoencoder_decodes_what_it_did_before() -> None:
    torch.manual_seed(0)
    vae = PatchAutoencoder(4, 2, width=8, encoder_blocks=1, decoder_blocks=2).eval()
    for parameter in vae.parameters():
        parameter += 0.1 * torch.randn_like(parameter)
    latents = torch.randn(3, 4, 8, 4)
    expected = vae.decode(latents).sample
    found = compile_regions(vae).decode(latents).sample
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
