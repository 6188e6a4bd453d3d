"""The engine ase: what it accepts, what its numbers depend on, and its calculators."""

import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from ase.data import atomic_numbers
from pydantic import JsonValue

from prerelax.engines.ase import machine
from prerelax.engines.ase.calculator import AseCalculator, Recipe
from prerelax.engines.ase.known import KNOWN, Known, Means, electrons_of, name_of, packages_of
from prerelax.engines.ase.machine import IMPORT_PATH, texts
from prerelax.engines.ase.potentials import WEIGHTS
from prerelax.engines.ase.xtb import FLAGS
from prerelax.engines.calculator import EngineCalculator
from prerelax.engines.engine import Engine
from prerelax.engines.level import Electrons, Level
from prerelax.errors import nearest
from prerelax.site_file import site_path

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+*(),/. _=-]{0,80}")
DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}")
"""No place and no address: what a package loads by itself is of its own."""
OF_THE_SITE = frozenset(
    {
        *("command", "profile", "environment", "env", "python", "inp", "raw", "pretasks", "task"),
        *("directory", "label", "restart", "atoms", "scratch", "perm"),
        *("slako_dir", "species_dir", "basis_set_file", "potential_file", "define_str", "control_input"),
    }
)
"""Options that run something, or name places of a machine: they belong in the site file, or nowhere."""
BASES = frozenset({"basis", "basis set name"})
"""Options that name a basis, as one for each element."""
OF_PLACES = ("path", "file", "weights", "folder", "url")
"""Parts of words of other such options."""


class AseEngine(Engine):
    """Calculators that are known by name, and the user's own by the path of their class."""

    name = "ase"
    refuses: ClassVar[Mapping[str, str]] = {}

    def is_cheap_at(self, level: Level) -> bool:
        known = _known(level)
        return known is not None and known.is_cheap

    def told_of_electrons(self, level: Level) -> set[str]:
        return _electrons(level).told

    def check_here(self, level: Level) -> None:
        machine.check_consent(level)
        known, site = _known(level), machine.site()
        if known and known.command:
            words = machine.command(known, site.program(name_of(level.calculator)), 1)
            machine.program_digest(tuple(words), level.calculator or "")
        machine.scratch(site)

    def check_consent(self, level: Level) -> None:
        machine.check_consent(level)

    def validate(self, level: Level) -> None:
        """As of every engine, but no program is started: see `honesty` for what a calculator is tried on."""
        _check_name(level)
        known = _known(level)
        if level.basis and (known is None or not known.takes_basis):
            raise ValueError(f"the calculator {level.calculator} takes no basis; leave out '{level.basis}'")
        if level.dispersion and level.dispersion not in (known.dispersions if known else ()):
            raise ValueError(
                f"say the dispersion {level.dispersion} in the calculator's options, as it calls it there"
            )
        _check_options(level.options or {})
        if known is not None:
            _check_words(level, known)
            has_basis = level.basis or BASES & set(level.options or {})
            if known.needs_basis and not has_basis and not re.match(known.own_basis, level.method, re.I):
                raise ValueError(f"the calculator {level.calculator} needs a basis, e.g. 'def2-TZVP'")
        for element in level.elements or ():
            if element not in atomic_numbers:
                raise ValueError(f"elements: '{element}' is no element")

    def settings(self, level: Level) -> dict[str, object]:
        name, known = level.calculator or "", _known(level)
        program = machine.site().program(name_of(name))
        python = machine.interpreter(program)
        found: dict[str, object] = {"calculator": level.calculator, "options": level.options}
        if level.electrons is not None:
            found["electrons"] = level.electrons.model_dump(exclude_none=True)
        if program.options:
            found["site_options"] = program.options
        packages = packages_of(name_of(name), level.method) if known else ("ase",)
        found["versions"] = machine.versions(python, packages)
        if known and known.command:
            words = machine.command(known, program, 1)
            found["program_digest"] = machine.program_digest(tuple(words), name)
        if known is None:
            found["module_sha256"] = machine.module_digest(name, python)
        said = texts([level.method, level.options, program.options])
        weights = [Path(text) for text in said if text.endswith(WEIGHTS)]
        if weights:
            found["weights_sha256"] = machine.digest(*weights)
        return found

    def calculator(self, level: Level, charge: int, multiplicity: int, threads: int) -> EngineCalculator:
        return AseCalculator(recipe(level, threads), charge, multiplicity, threads)


def recipe(level: Level, threads: int) -> Recipe:
    """How the level's calculator is made on this machine.

    Raises UserError for a wrong site file, and where its code may not run here.
    """
    machine.check_consent(level)
    name = name_of(level.calculator)
    known, site = _known(level), machine.site()
    program = site.program(name)
    means = Means(threads, site.memory_mb)
    keywords = known.keywords(level, means) if known else {}
    electrons = _electrons(level)
    config, more = "", dict(program.options)
    if known and known.takes_command:
        more["command"] = list[JsonValue](machine.command(known, program, threads))
    if known and known.section:
        command = shlex.join(machine.command(known, program, threads))
        config = f"[{known.section}]\n{known.command_key} = {command.replace('$', '$$')}\n"
    setup: dict[str, object] = {
        "factory": known.factory if known else name,
        "keywords": _merged(keywords, {} if known and known.takes_command else level.options or {}, more),
        "electrons": electrons.model_dump(exclude_none=True),
        "renewed": known.renewed if known else electrons.keywords is not None,
        "boxed": known is not None and known.is_boxed,
        "path": [*([] if program.python else filter(None, sys.path)), str(Path.cwd())],
        "config": config,
    }
    return Recipe(
        name=name,
        setup=setup,
        electrons=electrons,
        elements=level.elements or (known.elements if known else None),
        python=machine.interpreter(program),
        environment=program.environment,
        scratch=machine.scratch(site),
        limit_s=site.gradient_limit_s,
    )


def _known(level: Level) -> Known | None:
    """What is known of the calculator."""
    return KNOWN.get(name_of(level.calculator))


def _electrons(level: Level) -> Electrons:
    """How charge and multiplicity reach the level's calculator."""
    if level.electrons is not None or _known(level) is None:
        return level.electrons or Electrons()
    return electrons_of(name_of(level.calculator), level.method)


def _check_name(level: Level) -> None:
    """Raise ValueError where no calculator is named, or none that could exist."""
    name = level.calculator
    if name is None:
        raise ValueError(f"the engine ase needs a calculator: {', '.join(KNOWN)}, or module:class")
    if _known(level) is None and not IMPORT_PATH.fullmatch(name):
        hint = nearest(name, KNOWN)
        if DOTTED.fullmatch(name):
            hint = f"; did you mean {name.rpartition('.')[0]}:{name.rpartition('.')[2]}?"
        raise ValueError(f"'{name}' is no known calculator, nor module:class{hint}")
    place, _, attribute = name.partition(":")
    if place.endswith(".py"):
        module = place.removesuffix(".py")
        raise ValueError(f"'{name}' names a file, not a module; did you mean {module}:{attribute}?")


def _check_options(options: Mapping[str, JsonValue]) -> None:
    """Raise ValueError for options that name what only the site file may, or that smuggle in more input."""
    for key in options:
        if key.lower() in OF_THE_SITE or any(part in key.lower() for part in OF_PLACES):
            raise ValueError(f"options: {key} belongs in the site file ({site_path()}), not in a config")
    for text in texts([dict(options)]):
        if any(ord(letter) < 32 for letter in text):
            raise ValueError(f"options: {text[:40]!r} has line breaks; a keyword stands on one line")
        if text.startswith(("/", "~")) and not text.endswith(WEIGHTS):
            raise ValueError(f"options: {text} is a path of one machine; it belongs in the site file")


def _check_words(level: Level, known: Known) -> None:
    """Raise ValueError for words that are none of a method, or that the program would take for more."""
    for what, text in (("method", level.method), ("basis", level.basis)):
        pattern = NAME if known.command or known.takes_basis else MODEL
        if text and not pattern.fullmatch(text) and not text.endswith(WEIGHTS):
            raise ValueError(f"'{text}' is no name of a {what}")
    for text in texts([level.method, level.basis, level.options]):
        for word in known.forbidden:
            if word in text.lower():
                raise ValueError(
                    f"options: '{word}' would have {name_of(level.calculator)} run or read something else; a "
                    "config may not ask for that"
                )
    if name_of(level.calculator) == "xtb" and level.method.lower() not in FLAGS:
        raise ValueError(f"xtb has no method '{level.method}'{nearest(level.method, FLAGS)}")
    if level.options and not known.takes_options:
        raise ValueError(f"the calculator {name_of(level.calculator)} has no options; leave them out")
    for key in level.options or {}:
        if known.options and key not in known.options:
            raise ValueError(
                f"options: the calculator {name_of(level.calculator)} has no '{key}', and would leave it out "
                f"without a word{nearest(key, known.options)}"
            )


def _merged(*parts: Mapping[str, object]) -> dict[str, object]:
    """Keywords, those of later parts first; keywords within keywords are merged."""
    whole: dict[str, object] = {}
    for part in parts:
        for key, value in part.items():
            before = whole.get(key)
            both = isinstance(value, Mapping) and isinstance(before, Mapping)
            whole[key] = _merged(before, value) if both else value  # type: ignore[arg-type]
    return {key: value for key, value in whole.items() if value is not None}
