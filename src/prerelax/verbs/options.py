"""Options of the command line from typed models: names, help, bounds, choices and defaults of their fields.

A verb says in its signature which models it takes; `takes_models` turns each into an option for every field,
and hands the verb the validated model. YAML, command line and JSON schema so follow from one declaration.
"""

import functools
import inspect
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from pydantic import BaseModel, WithJsonSchema
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from prerelax.errors import UserError
from prerelax.settings import model_from, settings_given

AllowCalculators = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-calculators", metavar="MODULE", help="Let the code of this module run as a calculator"
    ),
]
UNITS = ("_s", "_k")
"""Endings of fields that stand in the help and not in the option's name."""


@dataclass(frozen=True)
class FromSettings:
    """Marks a verb's model that `--settings` gives as well, as the JSON that a campaign's rules hand on."""

    options: bool = True
    """False: nothing but `--settings` gives it"""
    without: frozenset[str] = frozenset()
    """fields that only `--settings` gives, since few people ask for them"""


def takes_models(verb: Callable[..., None]) -> Callable[..., None]:
    """The verb with options in place of those of its parameters whose type is a pydantic model.

    One of them may be marked with `FromSettings`.
    """
    signature = inspect.signature(verb, eval_str=True)
    parameters: dict[str, inspect.Parameter] = {}
    models: dict[str, _Expanded] = {}
    for name, parameter in signature.parameters.items():
        model, mark = _model_of(parameter.annotation)
        if model is None:
            parameters[name] = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            continue
        models[name] = expanded = _Expanded(model, mark)
        parameters |= expanded.parameters()

    @functools.wraps(verb)
    def with_models(**given: Any) -> None:
        made = {name: expanded.made(given) for name, expanded in models.items()}
        verb(**given, **made)

    changed: Any = with_models  # what typer reads in place of the verb's own
    changed.__signature__ = signature.replace(parameters=list(parameters.values()))
    changed.__annotations__ = {name: each.annotation for name, each in parameters.items()}
    return with_models


def _model_of(annotation: Any) -> tuple[type[BaseModel] | None, FromSettings | None]:
    mark = next((m for m in getattr(annotation, "__metadata__", ()) if isinstance(m, FromSettings)), None)
    kind = typing.get_args(annotation)[0] if typing.get_origin(annotation) is Annotated else annotation
    is_model = isinstance(kind, type) and issubclass(kind, BaseModel)
    return (kind, mark) if is_model else (None, None)


@dataclass(frozen=True)
class _Expanded:
    """A model among a verb's parameters."""

    model: type[BaseModel]
    mark: FromSettings | None

    @property
    def fields(self) -> dict[str, FieldInfo]:
        """Those that are options."""
        if self.mark is None:
            return dict(self.model.model_fields)
        assert self.mark.without <= set(self.model.model_fields), self.mark
        said = self.model.model_fields.items() if self.mark.options else ()
        return {name: field for name, field in said if name not in self.mark.without}

    def parameters(self) -> dict[str, inspect.Parameter]:
        made = {name: _option(name, field) for name, field in self.fields.items()}
        if self.mark is not None:
            made["settings"] = _settings_option(bool(made))
        return made

    def made(self, given: dict[str, Any]) -> BaseModel:
        """The model, its options taken out of `given`. Raises UserError naming the option that is wrong."""
        said = {name: given.pop(name) for name in self.fields}
        said = {name: value for name, value in said.items() if value not in (None, [])}
        settings = given.pop("settings") if self.mark is not None else None
        if settings is None:
            needed = [name for name, field in self.fields.items() if field.is_required()]
            lacking = [name for name in needed if name not in said]
            if lacking:
                instead = ", or --settings" if self.mark is not None else ""
                raise UserError(f"give {' and '.join(map(option_name, lacking))}{instead}")
            return model_from(self.model, said)
        if said:
            names = ", ".join(option_name(name) for name in said)
            raise UserError(f"--settings says it all; leave {names} out, or --settings")
        return model_from(self.model, settings_given(settings), "--settings: ")


def option_name(field: str) -> str:
    """The option of a field: `max_steps` is `--max-steps`, `timeout_s` is `--timeout`."""
    for unit in UNITS:
        field = field.removesuffix(unit)
    return "--" + field.replace("_", "-")


def _option(name: str, field: FieldInfo) -> inspect.Parameter:
    kind, words = _kind(field.annotation), _words(field.annotation, field.metadata)
    is_list = typing.get_origin(kind) is list
    shown = "" if field.default in (None, PydanticUndefined) or kind is bool else str(field.default)
    info = typer.Option(
        option_name(name.removesuffix("s") if is_list else name),
        help=field.description,
        show_default=shown or False,
        metavar=f"<{'|'.join(words)}>" if words else None,
        **_bounds(field.metadata),
    )
    annotation: Any = Annotated[kind | None, info]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _settings_option(beside_others: bool) -> inspect.Parameter:
    what = "These and the rarer options" if beside_others else "Options"
    text = f"{what} as JSON, or in a .json or .yaml file; the keys are those of a campaign's config"
    info = typer.Option("--settings", metavar="JSON|FILE", help=text)
    annotation = Annotated[str | None, info]
    return inspect.Parameter("settings", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _kind(annotation: Any) -> Any:
    """The type that typer parses: without None and pydantic's marks."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _kind(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return next(_kind(each) for each in arguments if each is not type(None))
    if origin in (list, tuple):
        return list[_kind(arguments[0])]  # type: ignore[misc]
    return annotation


def _words(annotation: Any, metadata: Sequence[Any]) -> list[str]:
    """Words that a field's JSON schema names; whether others will do is known to the model alone."""
    for mark in metadata:
        if isinstance(mark, WithJsonSchema) and mark.json_schema:
            return list(mark.json_schema["enum"])
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is Annotated:
        return _words(arguments[0], arguments[1:])
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return next(filter(None, (_words(each, []) for each in arguments)), []) if is_union else []


def _bounds(metadata: list[Any]) -> dict[str, Any]:
    """Bounds as typer has them; those that exclude their limit are left to the model."""
    lowest = next((m.ge for m in metadata if getattr(m, "ge", None) is not None), None)
    highest = next((m.le for m in metadata if getattr(m, "le", None) is not None), None)
    return {"min": lowest, "max": highest}
