from __future__ import annotations

import pytest

pytest.importorskip("moderngl", reason='needs `pip install "dancelcm[danceset]"`')

from dancelcm_cli.danceset.look import scene_uniforms
from dancelcm_cli.danceset.renderer import Renderer
from dancelcm_cli.danceset.scene import draw_scene

TEXTURES = {"shadow_map", "noise", "marks"}


def test_a_scene_has_a_value_for_every_uniform_of_every_shader(renderer: Renderer) -> None:
    known = scene_uniforms(draw_scene(0, 0, 1, (192, 128))).keys() | TEXTURES
    shading = renderer.shading
    used: set[str] = set()
    for program in (*shading.materials.values(), shading.room, shading.shadow):
        names = {name for name in program if hasattr(program[name], "value")}
        assert names - known <= {"part"}
        used |= names
    assert known <= used
