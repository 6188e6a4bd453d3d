"""`prerelax study NAME`: what only the papers ask, a command for each study."""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from prerelax.verbs.groups import Verb, Verbs

PAPERS = (
    "Paper E: EDM, Chem. Sci. 2024, 15, 13506. Paper M: MoreRed, Mach. Learn.: Sci. Technol. 2024, 5, 035038."
)


class Studies(Verbs):
    """The studies' commands, imported when one of them is asked for: `prerelax --help` need not wait."""

    def list_commands(self, ctx: Any) -> list[str]:
        self._import()
        return super().list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        self._import()
        return super().get_command(ctx, cmd_name)

    def _import(self) -> None:
        from prerelax.studies import STUDIES

        if self.commands:
            return
        app = typer.Typer()
        for name in STUDIES:
            command = getattr(import_module(f"prerelax.studies.{name}.command"), name)
            app.command(name.replace("_", "-"), cls=Verb, epilog=PAPERS)(command)
        group = typer.main.get_command(app)
        assert isinstance(group, TyperGroup)
        self.commands = group.commands


study_app = typer.Typer(
    cls=Studies, no_args_is_help=True, help=f"Figures of the papers: a command for each study. {PAPERS}"
)
