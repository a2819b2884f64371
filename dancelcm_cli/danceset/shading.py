"""The shader programs and the textures that they read."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import cv2
import moderngl
import numpy as np

from dancelcm_cli.danceset.look import Uniforms
from dancelcm_cli.danceset.makehuman import data_folder
from dancelcm_cli.danceset.parts import Material

LIBRARIES = ("common.glsl", "figure.glsl", "garments.glsl", "fabric.glsl")
NOISE_SIZE = 32  # of the noise that all surfaces share
MARKS = ("lips", "ears", "fingernails", "inside-mouth")  # MakeHuman's masks, one a channel
MARKS_SIZE = 1024  # pixels
SHADOW_UNIT, NOISE_UNIT, MARKS_UNIT = 0, 1, 2  # where the shaders find their textures


@dataclass(frozen=True)
class Shading:
    """How each surface is drawn."""

    materials: dict[Material, moderngl.Program]
    shadow: moderngl.Program  # what the lamp sees of the figure
    room: moderngl.Program
    noise: moderngl.Texture3D
    marks: moderngl.Texture

    def assign(self, uniforms: Uniforms) -> None:
        """Set `uniforms` in all programs that use them."""
        units: Uniforms = {"shadow_map": SHADOW_UNIT, "noise": NOISE_UNIT, "marks": MARKS_UNIT}
        for program in (*self.materials.values(), self.room, self.shadow):
            assign(program, uniforms | units)

    def use(self, shadow_map: moderngl.Texture) -> None:
        """Make all textures ready, and `shadow_map` with them."""
        shadow_map.use(SHADOW_UNIT)
        self.noise.use(NOISE_UNIT)
        self.marks.use(MARKS_UNIT)


def load_shading(context: moderngl.Context) -> Shading:
    """Compile the programs and load the textures."""
    vertex = _source("figure.vert")
    return Shading(
        materials={
            material: context.program(vertex, _source(*LIBRARIES, f"{material.value}.frag"))
            for material in Material
        },
        shadow=context.program(vertex, _source(*LIBRARIES, "shadow.frag")),
        room=context.program(_source("room.vert"), _source("common.glsl", "room.frag")),
        noise=_noise_texture(context),
        marks=_marks_texture(context),
    )


def assign(program: moderngl.Program, uniforms: Uniforms) -> None:
    """Set those of `uniforms` that `program` uses; the compiler leaves out the others."""
    for name, value in uniforms.items():
        if name in program:
            program[name] = value


def _source(*names: str) -> str:
    folder = files("dancelcm_cli.danceset") / "shaders"
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


def _noise_texture(context: moderngl.Context) -> moderngl.Texture3D:
    values = np.random.default_rng(0).integers(256, size=NOISE_SIZE**3, dtype=np.uint8)
    return context.texture3d((NOISE_SIZE,) * 3, 1, values.tobytes())


def _marks_texture(context: moderngl.Context) -> moderngl.Texture:
    folder, size = data_folder() / "textures", (MARKS_SIZE, MARKS_SIZE)
    masks = []
    for name in MARKS:
        mask = cv2.imread(str(folder / f"mpfb_{name}.jpg"), cv2.IMREAD_GRAYSCALE)
        masks.append(cv2.resize(np.asarray(mask), size, interpolation=cv2.INTER_AREA))
    texture = context.texture(size, len(MARKS), np.stack(masks, axis=-1)[::-1].tobytes())
    texture.build_mipmaps()
    return texture
