"""Animate a picture with the diffusers pipeline.

    python assets/examples/pipeline.py dance.gif

The picture is already of the model's size, and the dance fits the person; `Animator`, of
`dancelcm_cli.animate`, finds the person and the dance and fits the one to the other.
"""

import sys

import torch
from PIL import Image

from dancelcm_cli.core.pipeline import DancePipeline
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.perception.drawing import draw_poses
from dancelcm_cli.perception.keypoints import read_annotation

HEIGHT, WIDTH, NUM_FRAMES = 192, 128, 16

pipe = DancePipeline.from_pretrained(bundled("tiny/student"))
if torch.cuda.is_available():
    pipe.enable_model_cpu_offload()

image = Image.open(bundled("samples/reference.png")).resize((WIDTH, HEIGHT))
keypoints = read_annotation(bundled("samples/driving.npz"), height=384, width=256)
pose = draw_poses(keypoints[:NUM_FRAMES], HEIGHT, WIDTH)


def tell(pipe, index, timestep, kept):
    """Say which step is done; latents that are returned take the place of those given."""
    print(f"step {index + 1} started at timestep {timestep}")
    return kept


frames = pipe(
    image,
    pose,
    num_inference_steps=4,
    generator=torch.Generator().manual_seed(0),
    output_type="pil",
    callback_on_step_end=tell,
).frames
frames[0].save(sys.argv[1], save_all=True, append_images=frames[1:], duration=80, loop=0)
