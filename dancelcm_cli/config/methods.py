"""What sets the paper's rivals apart from DanceLCM: settings alone, all else is shared.

Each entry overrides the recipe, and is itself overridden by `--set` and the other flags. The values
are those of the methods' papers and published trainers, where the teacher of this toolkit (v under
zero terminal SNR, trained with guidance 2.5) allows them.
"""

from __future__ import annotations

from dancelcm_cli.config.schema import Method

_WITHOUT_OUR_PARTS = (
    "distill.motion_weight=0.0",
    "distill.auxiliary_weight=0.0",
    "distill.face=none",
)

METHOD_SETTINGS: dict[Method, tuple[str, ...]] = {
    "dancelcm": (),
    "videolcm": (  # arXiv 2312.09109: one segment, compared at the clean latents
        "distill.segments=1",
        "distill.loss_space=latents",
        *_WITHOUT_OUR_PARTS,
    ),
    "multistep-cm": (  # arXiv 2403.06807: v loss, Euclidean norm, no average
        "distill.segments=4",
        "distill.grid_size=40",
        "distill.loss_space=velocity",
        "distill.distance=norm",
        "distill.target=self",
        *_WITHOUT_OUR_PARTS,
    ),
    "perflow": (  # arXiv 2405.07510: straight lines over four windows, solved in eight steps
        "distill.segments=4",
        "distill.grid_size=40",
        "distill.substeps=8",
        "distill.distance=squared",
        "distill.ema_decay=0.99",
        *_WITHOUT_OUR_PARTS,
    ),
    "pcm": (  # arXiv 2405.18407: phases, compared at their edges, without an average
        "distill.segments=4",
        "distill.grid_size=40",
        "distill.target=self",
        "distill.optimizer.weight_decay=1e-3",
        *_WITHOUT_OUR_PARTS,
    ),
}


def method_settings(method: Method | None) -> list[str]:
    """Return the overrides that `--method` stands for; none where it was not given."""
    return [] if method is None else [f"distill.method={method}", *METHOD_SETTINGS[method]]
