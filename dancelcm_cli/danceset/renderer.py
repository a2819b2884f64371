"""OpenGL without a display: figures and rooms become pictures, by a graphics card or Mesa's CPU.

Every frame is drawn twice: once as the lamp sees it, for the shadows, and once for the camera.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import moderngl
import numpy as np
from numpy.typing import NDArray

from dancelcm_cli.danceset.camera import depth_of
from dancelcm_cli.danceset.figure import Figure
from dancelcm_cli.danceset.geometry import Floats
from dancelcm_cli.danceset.look import Uniforms
from dancelcm_cli.danceset.parts import Material, Part
from dancelcm_cli.danceset.shading import assign, load_shading
from dancelcm_cli.errors import InputError

SAMPLES = 4  # a pixel, against jagged edges
SHADOW_SIZE = 512  # pixels
CLOSED = (Material.SKIN, Material.EYE)  # their backs are never seen
CASTERS = (Material.SKIN, Material.CLOTH, Material.SKIRT, Material.SHOE, Material.HAIR)
BACKEND: dict[str, Any] = {"backend": "egl"}
PACKAGES = "libegl1 libgl1 libegl-mesa0 libgl1-mesa-dri"


@dataclass(frozen=True)
class Picture:
    """What the camera sees."""

    frame: NDArray[np.uint8]  # (H, W, 3) RGB
    depth: Floats  # (H, W) in dm


def open_context() -> moderngl.Context:
    """Return an OpenGL context without a window.

    Raises:
        InputError: This machine has no EGL, or no driver for it.
    """
    try:
        return moderngl.create_context(require=330, standalone=True, **BACKEND)
    except Exception as error:  # moderngl raises nothing more special
        raise InputError(
            f"Rendering needs OpenGL through EGL, which does not work here: {error}",
            hint=f"On Debian or Ubuntu: apt-get install {PACKAGES}",
        ) from error


class Renderer:
    """A canvas of one size, with all that does not change from clip to clip."""

    def __init__(self, height: int, width: int) -> None:
        size = (width, height)
        context = self.context = open_context()
        # What is dropped must wait until this context is the current one: see `Stage`.
        context.gc_mode = "context_gc"
        self.canvas = context.framebuffer(
            [context.renderbuffer(size, samples=SAMPLES)],
            context.depth_renderbuffer(size, samples=SAMPLES),
        )
        self.depth = context.depth_texture(size)
        self.result = context.framebuffer([context.renderbuffer(size)], self.depth)
        self.shadow_map = context.depth_texture((SHADOW_SIZE, SHADOW_SIZE))
        self.shadow_map.compare_func = "<="
        self.shadow_map.repeat_x = self.shadow_map.repeat_y = False
        self.lamp_view = context.framebuffer(depth_attachment=self.shadow_map)
        self.shading = load_shading(context)

    def read(self) -> Picture:
        """Return what was drawn on the canvas."""
        self.context.copy_framebuffer(self.result, self.canvas)
        width, height = self.result.size
        colours = np.frombuffer(self.result.read(components=3), np.uint8)
        depths = np.frombuffer(self.depth.read(), np.float32).reshape(height, width)
        frame = colours.reshape(height, width, 3)[::-1].copy()  # OpenGL begins at the bottom
        return Picture(frame, depth_of(depths[::-1]))


class Stage:
    """A figure in a room, before a camera: ready to be drawn in any pose."""

    def __init__(
        self, renderer: Renderer, figure: Figure, room: Floats, uniforms: Uniforms
    ) -> None:
        """Load the figure and the triangles `room` (N, 5) of `room_mesh` into `renderer`.

        A renderer has one stage at a time: a new one takes its place.
        """
        self._renderer, self._figure = renderer, figure
        self._shading = renderer.shading
        context = renderer.context
        with context:
            context.gc()
            self._moving = context.buffer(reserve=len(figure.points) * 6 * 4, dynamic=True)
            self._still = context.buffer(_still_data(figure).tobytes())
            self._indices = context.buffer(_indices(figure).tobytes())
            self._materials = {
                material: self._array(program)
                for material, program in self._shading.materials.items()
            }
            self._shadow = self._array(self._shading.shadow)
            room_data = [(context.buffer(room.tobytes()), "3f 2f", "point", "place")]
            self._room = context.vertex_array(self._shading.room, room_data)
            self._shading.assign(uniforms)
            assign(self._shading.shadow, {"camera": uniforms["shadow_matrix"]})

    def draw(self, points: Floats, normals: Floats) -> Picture:
        """Return the picture of the figure with its points (N, 3) and normals (N, 3) there."""
        moving = np.concatenate([points, normals], axis=1).astype(np.float32)
        with self._renderer.context:
            self._moving.write(moving.tobytes())
            self._draw_shadows()
            self._draw_view()
            return self._renderer.read()

    def _draw_shadows(self) -> None:
        self._renderer.lamp_view.use()
        self._renderer.lamp_view.clear(depth=1.0)
        self._renderer.context.enable_only(moderngl.DEPTH_TEST)
        order = list(Material)
        for part, first, count in _ranges(self._figure):
            if part.material in CASTERS:
                assign(self._shading.shadow, {"part": order.index(part.material)})
                self._shadow.render(vertices=count, first=first)

    def _draw_view(self) -> None:
        context = self._renderer.context
        self._renderer.canvas.use()
        self._renderer.canvas.clear(depth=1.0)
        self._shading.use(self._renderer.shadow_map)
        context.enable_only(moderngl.DEPTH_TEST)
        self._room.render()
        for part, first, count in _ranges(self._figure):
            culling = moderngl.CULL_FACE if part.material in CLOSED else moderngl.NOTHING
            context.enable_only(moderngl.DEPTH_TEST | culling)
            self._materials[part.material].render(vertices=count, first=first)

    def _array(self, program: moderngl.Program) -> moderngl.VertexArray:
        streams = [
            (self._moving, *_layout(program, {"point": 3, "normal": 3})),
            (self._still, *_layout(program, {"rest": 3, "uv": 2, "chart": 4})),
        ]
        used = [stream for stream in streams if len(stream) > 2]
        return self._renderer.context.vertex_array(program, used, self._indices)


def _still_data(figure: Figure) -> Floats:
    """Return what never moves (N, 3 + 2 + 4): places at rest, uvs and charts."""
    parts = [np.concatenate([part.points, part.uvs, part.chart], axis=1) for part in figure.parts]
    return np.concatenate(parts).astype(np.float32)


def _indices(figure: Figure) -> NDArray[np.int32]:
    """Return the corners (M,) of all triangles, part by part, as rows of the figure's points."""
    starts = np.cumsum([0, *(len(part.points) for part in figure.parts[:-1])])
    shifted = [
        part.triangles.ravel() + start for part, start in zip(figure.parts, starts, strict=True)
    ]
    return np.concatenate(shifted).astype(np.int32)


def _ranges(figure: Figure) -> Iterator[tuple[Part, int, int]]:
    """Yield each part with where its corners start, and how many there are."""
    first = 0
    for part in figure.parts:
        yield part, first, part.triangles.size
        first += part.triangles.size


def _layout(program: moderngl.Program, attributes: dict[str, int]) -> tuple[str, ...]:
    """Return the format of a stream of floats, and the attributes that `program` takes from it."""
    taken = [name for name in attributes if name in program]
    form = " ".join(f"{n}f" if name in taken else f"{4 * n}x" for name, n in attributes.items())
    return (form, *taken)
