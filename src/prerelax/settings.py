"""What people write in YAML: models that know their keys, files that extend others, sentences for mistakes.

Campaigns and trainings are read alike. Imports no torch and nothing of chemistry.
"""

from __future__ import annotations

import json
import os
import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, RootModel, ValidationError
from pydantic_core import ErrorDetails

from prerelax.errors import UserError, nearest
from prerelax.reading import check_plain, read_yaml, read_yaml_file

RENAMED_KEYS = {"hessian": "cheap_level"}
"""Keys of earlier versions, and what they are called now."""
EXTENDS = "extends"
"""The key that names what a mapping builds on."""


Model = TypeVar("Model", bound=BaseModel)


class Settings(BaseModel):
    """A part of a config: it refuses keys that it does not know, and does not change once it is read."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True)


def read_settings(path: Path) -> dict[str, object]:
    """The mapping that a YAML file holds, whole: what it extends is filled in.

    Raises UserError, in one sentence, for a file that cannot be read, is no YAML or holds no mapping, and
    for files that extend each other in a circle.
    """
    return _read(path, ())


def resolved(settings: Mapping[str, object], folder: Path, chain: tuple[Path, ...] = ()) -> dict[str, object]:
    """`settings` with every `extends` replaced by what it names.

    That is a YAML file, relative to `folder`, where the settings stand; or, within a mapping of mappings, the
    key of another one beside it. What the settings say goes before what they extend: mappings are merged key
    by key, lists and single values replaced, and `null` removes a key. What is extended may itself extend.
    """
    parts = {key: value for key, value in settings.items() if isinstance(value, Mapping)}
    done: dict[str, dict[str, object]] = {}

    def whole(key: str, waiting: tuple[str, ...] = ()) -> dict[str, object]:
        if key not in done:
            beside = parts[key].get(EXTENDS)
            if not isinstance(beside, str) or beside not in parts:
                done[key] = resolved(parts[key], folder, chain)
            elif beside in (*waiting, key):
                raise UserError(f"{' extends '.join([*waiting, key, beside])}: nothing can extend itself")
            else:
                own = resolved({**parts[key], EXTENDS: None}, folder, chain)
                done[key] = merged(whole(beside, (*waiting, key)), own)
        return done[key]

    own = {key: whole(key) if key in parts else settings[key] for key in settings if key != EXTENDS}
    file = settings.get(EXTENDS)
    if file is None:
        return own
    if not isinstance(file, str):
        raise UserError(f"{EXTENDS} must be the path of one YAML file, not {file!r}")
    return merged(_read(folder / expand_path(file), chain), own)


def merged(base: Mapping[str, object], change: Mapping[str, object]) -> dict[str, object]:
    """`base` with the keys of `change`: mappings are merged, anything else replaces, None removes."""
    result = dict(base)
    for key, value in change.items():
        before = result.get(key)
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(before, Mapping):
            result[key] = merged(before, value)
        else:
            result[key] = value
    return result


def check_keys(path: Path) -> None:
    """Raise UserError where a YAML file, which another program has read already, has a key twice."""
    _read(path, ())


def _read(path: Path, chain: tuple[Path, ...]) -> dict[str, object]:
    if path.resolve() in (each.resolve() for each in chain):
        circle = " extends ".join(str(each) for each in (*chain, path))
        raise UserError(f"{circle}: nothing can extend itself")
    what = f"{path}, which {chain[-1]} extends," if chain else str(path)
    raw = read_yaml_file(path, what)
    if not isinstance(raw, dict):
        raise UserError(f"{what} must be a mapping of keys, not {_shown(raw)}")
    return resolved(raw, path.parent, (*chain, path))


def file_schema(model: type[BaseModel]) -> dict[str, object]:
    """The JSON schema of YAML files that hold the settings of a `model`, for editors.

    Any mapping may extend another: so no key is needed, and any may be `null`, which removes it.
    """
    schema = model.model_json_schema()
    for part in (schema, *schema.get("$defs", {}).values()):
        if "properties" in part:
            part.pop("required", None)
            known = {key: _or_null(value) for key, value in part["properties"].items()}
            part["properties"] = {EXTENDS: EXTENDS_SCHEMA, **known}
            if part.get("additionalProperties") is False:
                part["additionalProperties"] = {"type": "null"}
    return schema


EXTENDS_SCHEMA = {
    "type": "string",
    "description": "a YAML file, relative to this one, or an entry beside it; what is said here goes first",
}


def _or_null(schema: Mapping[str, Any]) -> dict[str, object]:
    """The schema of a value that an extending file may also remove."""
    whole = dict(schema)
    if "oneOf" in whole:  # without its discriminator a value may fit several
        whole["anyOf"] = whole.pop("oneOf")
    if "patternProperties" in whole:
        named = whole["patternProperties"].items()
        whole["patternProperties"] = {pattern: _or_null(value) for pattern, value in named}
    about: dict[str, object] = {
        key: whole.pop(key) for key in ("title", "description", "default") if key in whole
    }
    return {**about, "anyOf": [whole, {"type": "null"}]}


def expand_path(text: str) -> Path:
    """Path with `~`, `$NAME` and `${NAME:-default}` expanded. Raises UserError for a variable that is not
    set.
    """

    def value(match: re.Match[str]) -> str:
        name, default = match["name"] or match["plain"], match["default"]
        found = os.environ.get(name) or default
        if found is None:
            raise UserError(f"{text}: the environment variable {name} is not set")
        return found

    pattern = r"\$(?:\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}|(?P<plain>\w+))"
    return Path(re.sub(pattern, value, text)).expanduser()


def settings_given(text: str) -> Mapping[str, object]:
    """What `--settings` gives: JSON, or a .json or .yaml file. Raises UserError where it is no mapping."""
    where = "--settings"
    if not text.lstrip().startswith("{"):
        where = text
        try:
            text = Path(text).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"--settings {where}: neither JSON nor a file that can be read ({error})"
            ) from None
    if not text.lstrip().startswith("{"):
        settings = read_yaml(text, where)
    else:
        try:
            settings = json.loads(text)
            check_plain(settings, where)
        except UserError:
            raise
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where}: cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(settings, dict):
        raise UserError(f"{where}: needs keys and values, for example engine and method")
    return settings


def model_from(model: type[Model], said: Mapping[str, object], where: str = "") -> Model:
    """A model from options or settings. Raises UserError with one sentence for each value that is wrong."""
    try:
        return model.model_validate(said)
    except ValidationError as error:
        raise UserError(where + sentences(error, model, said)) from None


def sentences(error: ValidationError, model: type[BaseModel], raw: object, where: str = "") -> str:
    """What is wrong with settings `raw` for a `model`: one sentence for each key.

    Keys are named in full, from the one on under which the settings stand: `where`.
    """
    by_key: dict[str, list[str]] = {}
    for each in error.errors():
        path, known = _place(model, raw, each)
        path = [where, *path] if where else path
        by_key.setdefault(_dotted(path), []).append(_sentence(each, path, known))
    return "; ".join(_in_one(each) for each in by_key.values())


def _in_one(complaints: list[str]) -> str:
    """One sentence of those about a value that none of several types takes: `x must be edm or a number`."""
    first, *others = complaints
    if not others:
        return first
    beginning, _, end = first.rpartition(", not ")
    alternatives = [each.partition(" must be ")[2].rpartition(", not ")[0] for each in others]
    return f"{' or '.join([beginning, *alternatives])}, not {end}" if all(alternatives) and end else first


def _sentence(error: ErrorDetails, path: list[str | int], known: list[str]) -> str:
    key, value, context = _dotted(path), error["input"], error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden" if RENAMED_KEYS.get(str(path[-1])) in known:
            return f"the key {key} is now called {RENAMED_KEYS[str(path[-1])]}"
        case "extra_forbidden":
            return f"unknown key {key}{nearest(str(path[-1]), known)}"
        case "missing":
            return f"the key {key} is missing"
        case "value_error":
            return f"{key}: {context['error']}" if key else str(context["error"])
        case "literal_error":
            words = re.findall(r"'([^']*)'", context["expected"])
            hint = nearest(value, words) if isinstance(value, str) else ""
            return f"{key} must be {_either(words)}, not {value!r}{hint}"
        case "union_tag_invalid" | "union_tag_not_found":
            words = re.findall(r"'([^']*)'", context.get("expected_tags", "")) or known
            chosen_by = context["discriminator"].strip("'").removesuffix("()")
            hint = nearest(str(context.get("tag", "")), words)
            return f"{key}.{chosen_by} must be one of {', '.join(words)}{hint}"
        case "finite_number":
            return f"{key} must be finite, not {value!r}"
        case "string_pattern_mismatch" if context["pattern"] in PATTERNS:
            return f"{key} must be {PATTERNS[context['pattern']]}, not {value!r}"
        case "string_too_short":
            return f"{key} must not be empty"
        case "string_too_long":
            return f"{key} must have at most {context['max_length']} letters, not {len(value)}"
        case kind if kind in KINDS:
            return f"{key or 'the config'} must be {KINDS[kind]}, not {_shown(value)}"
        case kind if kind in LIMITS:
            comparison, limit = LIMITS[kind]
            return f"{key} must be {comparison} {context[limit]:g}, not {value!r}"
        case _:
            return f"{key}: {error['msg']} (got {value!r})"


PATTERNS = {
    r"^[a-z0-9][a-z0-9-]*$": "small letters, digits and dashes, the first no dash",
    r"^[A-Za-z0-9][A-Za-z0-9_.-]*$": "letters a to z, digits, dots, dashes and underscores, "
    "the first a letter or digit",
}
"""of names, in words"""

KINDS = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a mapping of keys",
    "model_type": "a mapping of keys",
    "model_attributes_type": "a mapping of keys",
}
"""pydantic's names of mistakes, and what the value should have been."""

LIMITS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}


def _place(model: type[BaseModel], raw: object, error: ErrorDetails) -> tuple[list[str | int], list[str]]:
    """Where in the YAML a mistake is, and the keys known there.

    pydantic's location also names the members of unions, which are no keys of the YAML.
    """
    path: list[str | int] = []
    possible: list[object] = [model]
    known = _keys(possible)
    steps = error["loc"]
    for i, step in enumerate(steps):
        last = i == len(steps) - 1
        there = _holds(raw, step)
        if not there and not (last and error["type"] == "missing"):
            named = [each for each in possible if step in _tags(each)]
            possible = named or possible
        else:
            path.append(step)
            known = _keys(possible)
            possible = [each for part in possible for each in _behind(part, step)]
            raw = raw[step] if there else None  # type: ignore[index]
    if error["type"] != "extra_forbidden":
        known = _keys(possible)
    return path, known


def _holds(raw: object, step: str | int) -> bool:
    if isinstance(raw, list):
        return isinstance(step, int) and step < len(raw)
    return isinstance(raw, Mapping) and step in raw


def _keys(possible: Sequence[object]) -> list[str]:
    """The keys that the models among some types know."""
    models = [each for each in possible if isinstance(each, type) and issubclass(each, BaseModel)]
    return [field.alias or name for each in models for name, field in each.model_fields.items()]


def _tags(kind: object) -> set[object]:
    """The words by which a union knows one of its members."""
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return set()
    literals = (each.annotation for each in kind.model_fields.values())
    return {kind.__name__, *(word for each in literals for word in typing.get_args(each))}


def _behind(kind: object, step: str | int) -> list[object]:
    """The types that may stand behind a key or number of a type."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = {each.alias or name: each.annotation for name, each in kind.model_fields.items()}
        return _members(fields.get(str(step)))
    arguments = typing.get_args(kind)
    return _members(arguments[-1]) if arguments else []


def _members(kind: object) -> list[object]:
    """The types that a union or an annotated type stands for."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return _members(arguments[0])
    if isinstance(kind, type) and issubclass(kind, RootModel):  # stands in the YAML as what it holds
        return _members(kind.model_fields["root"].annotation)
    if origin in (typing.Union, types.UnionType):
        return [each for part in arguments for each in _members(part)]
    return [kind]


def _dotted(path: list[str | int]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _either(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _shown(value: object) -> str:
    if value is None:
        return "empty"
    return "a mapping" if isinstance(value, Mapping) else "a list" if isinstance(value, list) else repr(value)
