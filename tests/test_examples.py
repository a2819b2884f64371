"""The examples do what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "assets" / "examples"


@pytest.mark.slow
def test_the_pipeline_animates_a_picture(tmp_path: Path) -> None:
    output = tmp_path / "dance.gif"
    done = subprocess.run(
        [sys.executable, EXAMPLES / "pipeline.py", output],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["1", "2", "3", "4"]
    with Image.open(output) as film:
        assert (film.n_frames, film.size) == (16, (128, 192))  # type: ignore[attr-defined]
        assert np.asarray(film.convert("RGB")).std() > 10
