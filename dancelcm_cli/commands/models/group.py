"""The subcommands of `dancelcm models` under one name."""

from __future__ import annotations

import typer

from dancelcm_cli.commands.models import convert, export, fetch, list, verify

models = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
models.command("list", epilog=list.EXAMPLES)(list.list_models)
models.command(epilog=fetch.EXAMPLES)(fetch.fetch)
models.command(epilog=verify.EXAMPLES)(verify.verify)
models.command(epilog=convert.EXAMPLES)(convert.convert)
models.command(epilog=export.EXAMPLES)(export.export)


@models.callback()
def about() -> None:
    """List, fetch, check and convert the weights of others, and export your own."""
