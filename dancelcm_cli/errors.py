"""Errors that a user can act on.

DanceLCMError            exit 2: the user can fix it
├── InputError           a file or value that cannot be used
├── ConfigError          a recipe or an option that does not fit
├── WeightsMissingError  exit 3: a model that has to be fetched first
├── OutOfMemoryError     exit 4: too little memory after every fallback
├── PartialFailureError  exit 5: some items of a batch failed
└── InterruptedRunError  exit 130: stopped by the user; the hint resumes it
"""

from __future__ import annotations


class DanceLCMError(Exception):
    """A failure with one clear sentence, a hint on what to type next, and an exit code."""

    exit_code = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputError(DanceLCMError):
    """A file, folder or value given by the user cannot be used."""


class ConfigError(DanceLCMError):
    """A recipe, an override or an option is unknown, misspelt or out of range."""


class WeightsMissingError(DanceLCMError):
    """A model is needed that is not on this machine."""

    exit_code = 3


class OutOfMemoryError(DanceLCMError):
    """Memory ran out after every fallback was tried."""

    exit_code = 4


class PartialFailureError(DanceLCMError):
    """Some items of a batch failed; the others are done."""

    exit_code = 5


class InterruptedRunError(DanceLCMError):
    """The run was stopped by the user; the hint holds the command that resumes it."""

    exit_code = 130
