"""`prerelax study NAME`: what only the papers ask, a command for each study."""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

WORDS = (
    "Figures of the papers: a command for each study. Paper E: Chem. Sci. 2024, 15, 13506 (EDM); "
    "paper M: Mach. Learn.: Sci. Technol. 2024, 5, 035038 (MoreRed)."
)


class Studies(TyperGroup):
    """The studies' commands, imported when one of them is asked for: `prerelax --help` should not wait."""

    def __init__(self, **given: Any) -> None:
        self._imported: dict[str, TyperCommand] = {}
        super().__init__(**given)

    @property
    def commands(self) -> dict[str, TyperCommand]:  # type: ignore[override]
        """By name, in the order of the help."""
        if not self._imported:
            from prerelax.studies import STUDIES

            app = typer.Typer()
            for name in STUDIES:
                command = getattr(import_module(f"prerelax.studies.{name}.command"), name)
                app.command(name.replace("_", "-"))(command)
            self._imported = typer.main.get_command(app).commands  # type: ignore[attr-defined]
        return self._imported

    @commands.setter
    def commands(self, given: object) -> None:
        pass


study_app = typer.Typer(cls=Studies, no_args_is_help=True, help=WORDS)
