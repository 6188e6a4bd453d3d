"""A campaign's config with all that its short forms stand for: what campaigns run with, and keep.

Three things are short: a file that `extends` another, a training that is named by its file, and a start whose
name holds keys in braces, which stands for one start for each of their values.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from prerelax.errors import UserError
from prerelax.settings import check_keys, resolved
from prerelax.training.config import from_file

KEY_IN_NAME = re.compile(r"\{(\w+)\}")


def spelled_out(config: Mapping[str, object], files: Sequence[str | Path] = ()) -> dict[str, object]:
    """A config without short forms; one that has none is returned as it is.

    `files` are those that the config was read from: what the last of them, or where there is none the working
    directory, holds is what `extends` is relative to. Raises UserError for files that cannot be read or have
    a key twice, for values that a start does not have, and for starts that are made twice.
    """
    for file in files:
        check_keys(Path(file))
    folder = Path(files[-1]).parent if files else Path()
    whole = resolved(config, folder)
    denoisers, starts = whole.get("denoisers"), whole.get("starts")
    if isinstance(denoisers, Mapping):
        whole["denoisers"] = {name: from_file(each) for name, each in denoisers.items()}
    if isinstance(starts, Mapping):
        whole["starts"] = _each_start(starts)
    return whole


def _each_start(starts: Mapping[object, object]) -> dict[str, object]:
    made: dict[str, object] = {}
    for pattern, start in starts.items():
        if not isinstance(pattern, str):
            raise UserError(f"starts: a start's name must be text, not {pattern!r}")
        for name, each in _those_named(pattern, start):
            if name in made:
                raise UserError(f"starts.{pattern}: there is already a start {name}")
            made[name] = _with_key_on(each)
    return made


def _with_key_on(start: object) -> object:
    """A start whose `adapt` says `on:`, which YAML 1.1 reads as the key `true`."""
    adapt = start.get("adapt") if isinstance(start, Mapping) else None
    if not isinstance(start, Mapping) or not isinstance(adapt, Mapping) or True not in adapt:
        return start
    return {**start, "adapt": {"on" if key is True else key: value for key, value in adapt.items()}}


def _those_named(pattern: str, start: object) -> Iterator[tuple[str, object]]:
    """The starts that a name stands for: `n{steps}` with `steps: [20, 50]` for `n20` and `n50`.

    With several keys there is a start for every combination; the last key changes fastest.
    """
    keys = KEY_IN_NAME.findall(pattern)
    if not keys or not isinstance(start, Mapping):
        yield pattern, start
        return
    lists = []
    for key in keys:
        values = start.get(key)
        if not isinstance(values, list):
            raise UserError(f"starts.{pattern}: {key} must be a list, with a value for each of the starts")
        lists.append(values)
    for chosen in itertools.product(*lists):
        name = pattern
        for key, value in zip(keys, chosen, strict=True):
            name = name.replace(f"{{{key}}}", _in_a_name(value))
        yield name, {**start, **dict(zip(keys, chosen, strict=True))}


def _in_a_name(value: object) -> str:
    """A value as a part of a start's name, where letters, digits and hyphens may stand: 0.25 is 0-25."""
    return re.sub(r"[^a-z0-9]+", "-", f"{value}".lower())
