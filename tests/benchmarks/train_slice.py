"""Train the bundled model in the time that a GPU is at hand, in slices.

    python -m tests.benchmarks.train_slice teacher SHARDS RUN --minutes 13 --slice-minutes 9
    python -m tests.benchmarks.train_slice student SHARDS RUN --minutes 5 --slice-minutes 9 -- \\
        --teacher runs/teacher/model

A short trial tells how fast each kind of step is; from that follows how many steps make up
`--minutes` of training. The slice ends, with a checkpoint, after `--slice-minutes`, trial included,
and the same command goes on with the run. What follows `--` is given to `dancelcm train` or
`distill` as it is. To rehearse it on a CPU:

    python -m tests.benchmarks.train_slice teacher SHARDS RUN --minutes 1 --slice-minutes 5 \\
        --recipe smoke
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from dancelcm_cli.config.loading import load_recipe

TRIAL_STEPS = 20  # of each kind: the first ones compile, the last ten are the measure
MARGIN = 0.95  # of the minutes that the steps are meant to fill
CHECKS = 6  # validations in all
COMMANDS = {"teacher": "train", "student": "distill"}


def main() -> int:
    """Start or continue the run; return 0 if it is complete, 3 if there is more to do."""
    arguments = parse()
    started = time.monotonic()
    run: Path = arguments.run
    section = COMMANDS[arguments.part]
    command = [sys.executable, "-m", "dancelcm_cli", section, str(arguments.shards)]
    if (run / "run.json").exists():
        command += ["--resume", str(run)]
    else:
        command += ["--recipe", arguments.recipe, *arguments.rest]
        plan = planned(command, arguments)
        print("plan:", json.dumps(plan), flush=True)
        command += ["--output", str(run)]
        command += [part for name, value in plan.items() for part in ("--set", f"{name}={value}")]
    left = 60 * arguments.slice_minutes - (time.monotonic() - started)
    complete = finished_within(command, left, run.with_name(f"{run.name}.log"))
    tell(run)
    return 0 if complete else 3


def planned(command: list[str], arguments: argparse.Namespace) -> dict[str, int]:
    """Measure the steps of a trial; return the settings that fill the minutes."""
    recipe = load_recipe(arguments.recipe, [])
    section = COMMANDS[arguments.part]
    has_images = section == "train" and recipe.train.image_steps > 0
    steps = TRIAL_STEPS * (2 if has_images else 1)
    trial = arguments.run.with_name(f"{arguments.run.name}-trial")
    shutil.rmtree(trial, ignore_errors=True)
    trial.parent.mkdir(parents=True, exist_ok=True)
    never = 1_000_000
    settings = {f"{section}.steps": steps, f"{section}.validate_every": never}
    settings[f"{section}.checkpoint_every"] = never
    if has_images:
        settings["train.image_steps"] = TRIAL_STEPS
    else:
        settings["distill.teacher_steps"] = 2
    given = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    with trial.with_suffix(".log").open("w") as log:
        subprocess.run(
            [*command, *given, "--output", str(trial)], stdout=log, stderr=log, check=True
        )
    seconds = {row["step"]: row["seconds_per_step"] for row in step_rows(trial)}
    print("trial, seconds per step:", json.dumps(seconds), flush=True)
    total = 60 * arguments.minutes * MARGIN
    images = 0
    if has_images:
        images = round(arguments.image_share * total / seconds[TRIAL_STEPS])
        total *= 1 - arguments.image_share
    steps = images + round(total / seconds[steps])
    plan = {f"{section}.steps": steps, f"{section}.validate_every": -(-steps // CHECKS)}
    plan[f"{section}.checkpoint_every"] = -(-steps // CHECKS)
    return plan | ({"train.image_steps": images} if has_images else {})


def finished_within(command: list[str], seconds: float, log: Path) -> bool:
    """Run `command`; ask it to save and stop after `seconds`. Tell whether it came to its end."""
    with log.open("a") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            return process.wait(timeout=max(1.0, seconds)) == 0
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            process.wait()
            return False
        finally:
            print(log.read_text()[-1500:])


def rows(run: Path) -> list[dict[str, float]]:
    """Return the rows of the run's ledger, which is not there before the tenth step."""
    ledger = run / "metrics.jsonl"
    return [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []


def step_rows(run: Path) -> list[dict[str, float]]:
    """Return the rows of the run's ledger that tell of steps."""
    return [row for row in rows(run) if "seconds_per_step" in row]


def tell(run: Path) -> None:
    """Print how fast the run was, its losses, what validations found and where the strips are."""
    for row in step_rows(run)[:: max(1, len(step_rows(run)) // 20)]:
        print({name: round(value, 4) for name, value in row.items()})
    for row in rows(run):
        if "psnr_reference" in row:
            print({name: round(value, 3) for name, value in row.items()})
    print(*sorted((run / "samples").glob("*.png")), sep="\n")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=list(COMMANDS))
    parser.add_argument("shards", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--minutes", type=float, required=True, help="of training in all")
    parser.add_argument("--slice-minutes", type=float, required=True, help="of this call")
    parser.add_argument("--image-share", type=float, default=0.25, help="of the time, on frames")
    parser.add_argument("--recipe", default="tiny-gpu")
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    arguments = parser.parse_args(words[:end])
    arguments.rest = words[end + 1 :]
    return arguments


if __name__ == "__main__":
    sys.exit(main())
