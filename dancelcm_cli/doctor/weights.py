"""The weights of others that were fetched, and whether their hashes are right."""

from __future__ import annotations

from pathlib import Path

from dancelcm_cli.data.weight_files import readable_size, verify_file, weight_status
from dancelcm_cli.data.weight_table import WeightFile
from dancelcm_cli.doctor.check import Check
from dancelcm_cli.errors import InputError


def check_weights(file: WeightFile, folder: Path) -> Check:
    """Check one file; it is hashed if it was touched since it last was.

    Weights that are not here are no fault: the bundled model needs none of them.
    """
    name, fetch = f"weights {file.name}", f"dancelcm models fetch {file.name}"
    try:
        status = weight_status(file, folder)
        if status.state == "missing":
            if status.fetched:
                found = f"{readable_size(status.fetched)} of {readable_size(file.size)} fetched"
                return Check(name, "warn", found, f"Go on: {fetch}")
            return Check(name, "ok", f"not fetched ({file.purpose})")
        record = verify_file(file.name, folder) if status.state == "unchecked" else status.record
    except InputError as error:
        return Check(name, "warn", error.message, error.hint)
    assert record is not None
    stated = "as stated" if file.sha256 else f"as on {record.date}"
    return Check(name, "ok", f"sha256 {record.sha256[:12]}, {stated}")
