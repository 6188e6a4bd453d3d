"""`prerelax study NAME`: what only the papers ask, a command for each study."""

from importlib import import_module

import typer

from prerelax.studies import STUDIES

study_app = typer.Typer(no_args_is_help=True, help="Figures of the papers: a command for each study.")
for _name in STUDIES:
    _command = getattr(import_module(f"prerelax.studies.{_name}.command"), _name)
    study_app.command(_name.replace("_", "-"))(_command)
