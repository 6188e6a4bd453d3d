"""How the command line shows verbs, and refuses those of earlier versions."""

from typing import Any

from typer.core import TyperCommand, TyperGroup

from prerelax.errors import UserError
from prerelax.verbs.renamed import RENAMED_OPTIONS, RENAMED_VERBS


def without_types_of_flags(parameters: list[Any]) -> list[Any]:
    """A verb's parameters, flags as they are typed: `--kick` takes no value that the help could name."""
    for each in parameters:
        if getattr(each, "is_flag", False):
            each.metavar = ""
    return parameters


class Verb(TyperCommand):
    """A verb."""

    def get_params(self, ctx: Any) -> list[Any]:
        return without_types_of_flags(super().get_params(ctx))


class Verbs(TyperGroup):
    """Verbs by name; one of an earlier version is refused with the name that it has now."""

    def get_params(self, ctx: Any) -> list[Any]:
        return without_types_of_flags(super().get_params(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The verb that `args` begin with."""
        groups = [ctx.info_name] if ctx.parent is not None else []  # the program's own name is no verb
        path = " ".join([*groups, args[0]])
        if path in RENAMED_VERBS and args[0] not in self.commands:
            raise UserError(f"`prerelax {path}` is now `prerelax {RENAMED_VERBS[path]}`")
        for word in args[1:]:
            option = word.partition("=")[0]
            if f"{path} {option}" in RENAMED_OPTIONS:
                raise UserError(f"the option {option} is now {RENAMED_OPTIONS[f'{path} {option}']}")
        return super().resolve_command(ctx, args)
