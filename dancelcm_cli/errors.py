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

import errno

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
OPEN_FILES = frozenset({errno.EMFILE, errno.ENFILE})
# In the words of PyTorch, C++, OpenCV, the linker and the system.
OUT_OF_MEMORY_PHRASES = (
    *("out of memory", "can't allocate memory", "failed to allocate"),
    *("bad_alloc", "bad allocation", "insufficient memory", "can't start new thread"),
    *("cannot allocate memory", "failed to map segment", "failed with error '12'"),
)
SMALLER = "Take fewer frames, a smaller batch or a smaller recipe, or --device cpu."
SAME_AGAIN = "type the same command again: what is finished is kept."


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
    """The run was stopped by the user; a hint holds the command that resumes it.

    Without a hint it is the same command again.
    """

    exit_code = 130


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether `error` is of missing memory: libraries have classes of their own for that."""
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    said = str(error).lower()
    return named or any(phrase in said for phrase in OUT_OF_MEMORY_PHRASES)


def refused_by_system(error: OSError, hint: str = "") -> DanceLCMError:
    """Return the sentence for what the system would not do with a file or with memory.

    Args:
        error: `filename` names the file, where it is about one.
        hint: What to type once there is room on a full disk.
    """
    path = error.filename or "a file"
    if error.errno in DISK_FULL:
        hint = hint or f"Free some space there, then {SAME_AGAIN}"
        return InputError(f"The disk is full: {path} could not be written.", hint)
    if error.errno == errno.ENOMEM or (error.errno == errno.EAGAIN and not error.filename):
        where = f" of {path}" if error.filename else ""
        return OutOfMemoryError(f"Memory ran out, says the system{where}.", SMALLER)
    if error.errno in OPEN_FILES:
        return InputError("Too many files are open.", f"Type: ulimit -n 8192, then {SAME_AGAIN}")
    return InputError(
        f"{path} must be usable, but the system says: {error.strerror or error}.",
        hint=f"Check that it is there and that you may use it, or choose another path; "
        f"then {SAME_AGAIN}",
    )
