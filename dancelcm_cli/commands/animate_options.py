"""The options of `dancelcm animate`, one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from dancelcm_cli.commands.options import DEFAULTS
from dancelcm_cli.config.schema import Alignment, Driving, Sampler

DANCE_PANEL = "The dance"
OUTPUT_PANEL = "Output"

ReferenceArgument = Annotated[
    Path | None, typer.Argument(metavar="REFERENCE", help="The photo: a picture of one person.")
]
DrivingArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="DRIVING",
        help="The motion: a video of a person or of drawn poses, or a .npz of keypoints.",
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="File to write (.mp4, .webm, .gif), or folder of PNGs or of a batch.",
        show_default="REFERENCE-DRIVING.mp4 here",
    ),
]
ModelOption = Annotated[
    Path | None,
    typer.Option(
        help="Model folder of a student, or of a teacher.",
        show_default="the bundled tiny/student",
    ),
]
StepsOption = Annotated[
    int | None,
    typer.Option(
        help="Network calls: 1 to 8 for a student, 25 to 50 for a teacher.",
        show_default=str(DEFAULTS.animate.steps),
    ),
]
SamplerOption = Annotated[
    Sampler | None,
    typer.Option(
        help="How a step goes on to the next: over the edge of its segment, noised again "
        "(edge_renoise, for students), straight to it (ddim, for teachers), or over the clean end "
        "(lcm, for students of one segment).",
        show_default=str(DEFAULTS.animate.sampler),
    ),
]
GuidanceOption = Annotated[
    float | None,
    typer.Option(
        help="Classifier-free guidance scale; 1 is off. A student needs none, a teacher 2.5.",
        show_default=str(DEFAULTS.animate.guidance_scale),
    ),
]
CompileOption = Annotated[
    bool,
    typer.Option(
        "--compile", help="Compile the networks first, which takes minutes: for long or many clips."
    ),
]
DraftOption = Annotated[
    bool,
    typer.Option(
        "--draft",
        help="A quick look: 2 steps at half the size, decoded by TAESD where it was fetched.",
    ),
]
BatchOption = Annotated[
    Path | None,
    typer.Option(
        metavar="JOBS.CSV",
        help="Make many: a table with the columns reference, driving, output and, if wanted, "
        "seed and steps. Finished jobs are skipped.",
    ),
]
DrivingOption = Annotated[
    Driving | None,
    typer.Option(
        "--driving",
        help="What DRIVING shows: a person, drawn poses, or a video with a keypoint file; auto "
        "tells them apart.",
        show_default=str(DEFAULTS.animate.driving),
        rich_help_panel=DANCE_PANEL,
    ),
]
AlignOption = Annotated[
    Alignment | None,
    typer.Option(
        help="How the driving figure gets the photo's proportions: measured over the whole clip "
        "(robust), on its first frame as UniAnimate does, or not at all.",
        show_default=str(DEFAULTS.animate.align),
        rich_help_panel=DANCE_PANEL,
    ),
]
SeveralOption = Annotated[
    Literal["refuse", "largest"] | None,
    typer.Option(
        help="What to do where the photo or DRIVING shows several people: refuse it, or follow "
        "the largest.",
        show_default=str(DEFAULTS.animate.several),
        rich_help_panel=DANCE_PANEL,
    ),
]
FramesOption = Annotated[
    int | None,
    typer.Option(
        help="Frames to make; 0 is as many as DRIVING has.",
        show_default="as DRIVING",
        rich_help_panel=DANCE_PANEL,
    ),
]
MaxFramesOption = Annotated[
    int | None,
    typer.Option(
        help="Longest dance that --frames 0 makes, in frames; a longer one is refused.",
        show_default=str(DEFAULTS.animate.max_frames),
        rich_help_panel=DANCE_PANEL,
    ),
]
FpsOption = Annotated[
    float | None,
    typer.Option(
        help="Frames per second of the result; the dance keeps its speed.",
        show_default="as DRIVING",
        rich_help_panel=DANCE_PANEL,
    ),
]
StrideOption = Annotated[
    int | None,
    typer.Option(
        help="Take every n-th frame of DRIVING; the dance keeps its speed.",
        show_default=str(DEFAULTS.animate.frame_stride),
        rich_help_panel=DANCE_PANEL,
    ),
]
SaveKeypointsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.NPZ",
        help="Write what was found in DRIVING; the file can be the DRIVING of other runs.",
        rich_help_panel=DANCE_PANEL,
    ),
]
PreviewOption = Annotated[
    bool,
    typer.Option(
        "--preview",
        help="Only write a picture that shows how DRIVING fits the photo, and stop.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Only say what it would take: windows, network calls, time and memory.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
FormatOption = Annotated[
    Literal["mp4", "webm", "gif", "png"] | None,
    typer.Option(
        help="Kind of file; png is a folder of frames.",
        show_default="as --output",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
AudioOption = Annotated[
    bool,
    typer.Option("--audio/--no-audio", help="Keep DRIVING's sound.", rich_help_panel=OUTPUT_PANEL),
]
CompareOption = Annotated[
    bool,
    typer.Option(
        "--compare",
        help="Also write photo, pose and result side by side, as NAME-compare.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
OverwriteOption = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Replace what exists already, which is otherwise refused.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
