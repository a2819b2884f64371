"""What the paper's experiments compare, and the figures that it reports (arXiv 2504.11143)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dancelcm_cli.config.schema import MetricName

SOURCE = "arXiv 2504.11143, tables 1 to 5"
METRICS: tuple[MetricName, ...] = ("psnr", "ssim", "lpips", "fvd", "l1")
STAND_INS: dict[MetricName, MetricName] = {"ssim": "ssim_gaussian", "l1": "mae"}  # of `textbook`
Figures = dict[str, float]  # by metric

BASELINE, BASELINE_STEPS = "dancelcm", 4  # what every other row is held against
TEACHER = "teacher"


@dataclass(frozen=True)
class Run:
    """A student that is distilled by `arguments`, or, without them, the teacher as it is."""

    name: str
    arguments: tuple[str, ...] | None


@dataclass(frozen=True)
class Line:
    """A row of a table: a run, the network calls per clip, and the paper's figures if any."""

    label: str
    run: str
    steps: int
    paper: Figures | None = None


@dataclass(frozen=True)
class Table:
    """An experiment of the paper."""

    name: str
    title: str
    lines: tuple[Line, ...]


def _without(setting: str) -> tuple[str, ...]:
    return ("--set", setting)


RUNS = (
    Run(TEACHER, None),
    Run(BASELINE, ("--segments", "2")),
    Run("videolcm", ("--method", "videolcm")),
    Run("perflow", ("--method", "perflow")),
    Run("multistep-cm", ("--method", "multistep-cm")),
    Run("pcm", ("--method", "pcm")),
    Run("dancelcm-k1", ("--segments", "1")),
    Run("without-head", ("--segments", "2", *_without("distill.auxiliary_weight=0.0"))),
    Run("without-motion", ("--segments", "2", *_without("distill.motion_weight=0.0"))),
    Run("without-face", ("--segments", "2", *_without("distill.face=none"))),
    Run("dancelcm-k4", ("--segments", "4", "--set", "distill.grid_size=40")),  # 4 divides no 50
    Run("face-clip", ("--segments", "2", "--set", "distill.face=clip")),
)


def _on_tiktok(
    psnr: float, ssim: float, lpips: float, fvd: float, l1: float | None = None
) -> Figures:
    figures = {"psnr": psnr, "ssim": ssim, "lpips": lpips, "fvd": fvd}
    return figures if l1 is None else {**figures, "l1": l1}


PAPER_BASELINE = _on_tiktok(20.12, 0.812, 0.225, 156.27, 2.52e-4)
_VIDEOLCM = _on_tiktok(18.98, 0.789, 0.241, 196.21, 2.85e-4)


def paper_tables(teacher_steps: int) -> tuple[Table, ...]:
    """Return the tables, with the teacher at `teacher_steps` where the paper has it at 50."""
    full = Line("DanceLCM, 4 steps", BASELINE, BASELINE_STEPS, PAPER_BASELINE)
    unianimate = _on_tiktok(20.58, 0.811, 0.231, 148.06, 2.66e-4)
    return (
        Table(
            "table-1",
            "Table 1: the methods",
            (
                Line(f"teacher, {teacher_steps} steps", TEACHER, teacher_steps, unianimate),
                Line("teacher, 4 steps", TEACHER, 4),
                Line("VideoLCM, 4 steps", "videolcm", 4, _VIDEOLCM),
                Line(
                    "PeRFlow, 4 steps",
                    "perflow",
                    4,
                    _on_tiktok(19.76, 0.802, 0.236, 188.43, 2.59e-4),
                ),
                Line(
                    "MultiStep CM, 4 steps",
                    "multistep-cm",
                    4,
                    _on_tiktok(19.39, 0.802, 0.231, 187.59, 2.70e-4),
                ),
                Line("PCM, 4 steps", "pcm", 4),
                full,
            ),
        ),
        Table(
            "table-3",
            "Table 3: one component removed, 4 steps",
            (
                full,
                Line(
                    "no segments (K = 1)", "dancelcm-k1", 4, _on_tiktok(19.48, 0.803, 0.228, 169.23)
                ),
                Line(
                    "no ground-truth head",
                    "without-head",
                    4,
                    _on_tiktok(19.46, 0.806, 0.229, 161.63),
                ),
                Line(
                    "no motion weight", "without-motion", 4, _on_tiktok(19.56, 0.809, 0.227, 170.68)
                ),
                Line("no face tokens", "without-face", 4, _on_tiktok(19.77, 0.811, 0.231, 166.92)),
            ),
        ),
        Table("table-4", "Table 4: fewer and more steps", (*_steps_of_videolcm(), *_steps(full))),
        Table(
            "table-5",
            "Table 5: the number of segments, 4 steps",
            (
                Line("K = 1", "dancelcm-k1", 4, _on_tiktok(19.20, 0.801, 0.232, 186.30)),
                Line("K = 2", BASELINE, 4, PAPER_BASELINE),
                Line("K = 4", "dancelcm-k4", 4, _on_tiktok(20.23, 0.813, 0.229, 166.92)),
            ),
        ),
        Table(
            "figure-5",
            "Figure 5: what the face tokens are made of, 4 steps (a picture in the paper)",
            (
                Line("autoencoder latents", BASELINE, 4),
                Line("CLIP features", "face-clip", 4),
                Line("none", "without-face", 4),
            ),
        ),
    )


def _steps_of_videolcm() -> tuple[Line, ...]:
    return (
        Line("VideoLCM, 8 steps", "videolcm", 8, _on_tiktok(19.03, 0.793, 0.244, 179.33)),
        Line("VideoLCM, 4 steps", "videolcm", 4, _VIDEOLCM),
        Line("VideoLCM, 2 steps", "videolcm", 2, _on_tiktok(18.62, 0.789, 0.253, 207.72)),
        Line("VideoLCM, 1 step", "videolcm", 1, _on_tiktok(18.30, 0.778, 0.257, 224.78)),
    )


def _steps(full: Line) -> tuple[Line, ...]:
    return (
        Line("DanceLCM, 8 steps", BASELINE, 8, _on_tiktok(19.73, 0.814, 0.221, 152.64)),
        full,
        Line("DanceLCM, 2 steps", BASELINE, 2, _on_tiktok(19.36, 0.807, 0.228, 188.73)),
        Line("DanceLCM, 1 step", BASELINE, 1, _on_tiktok(19.17, 0.798, 0.239, 190.22)),
    )


def steps_of(run: str, tables: Sequence[Table]) -> list[int]:
    """Return the numbers of steps at which `tables` show `run`, ascending."""
    return sorted({line.steps for table in tables for line in table.lines if line.run == run})
