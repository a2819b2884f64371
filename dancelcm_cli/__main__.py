"""`python -m dancelcm_cli` is `dancelcm`."""

from __future__ import annotations

from dancelcm_cli.app import main

if __name__ == "__main__":
    main()
