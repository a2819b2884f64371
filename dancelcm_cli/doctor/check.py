"""What a look at one thing found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    `state`: "fail", the bundled model cannot animate here; "warn", it can, but something else is
    slower or does not work; "ok". `found` is a fact, `fix` what to do about it, empty where all is
    well.
    """

    name: str
    state: State
    found: str
    fix: str = ""
