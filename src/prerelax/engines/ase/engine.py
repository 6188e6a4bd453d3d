"""The engine ase: what it accepts, what its numbers depend on, and its calculators."""

import functools
import hashlib
import importlib.metadata
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from ase.data import atomic_numbers
from pydantic import JsonValue

from prerelax.engines.ase.calculator import AseCalculator, Recipe
from prerelax.engines.ase.known import KNOWN, Known, Means, electrons_of
from prerelax.engines.ase.potentials import WEIGHTS
from prerelax.engines.ase.xtb import FLAGS
from prerelax.engines.calculator import EngineCalculator
from prerelax.engines.engine import Engine
from prerelax.engines.level import Electrons, Level
from prerelax.errors import MissingProgramError, UserError, nearest
from prerelax.site_file import ALLOW_VARIABLE, Program, read_site, site_path

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+*(),/. _=-]{0,80}")
MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}")
"""No place and no address: what a package loads by itself is of its own."""
IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
OF_THE_SITE = frozenset(
    {
        *("command", "profile", "environment", "env", "python", "inp", "raw", "pretasks", "task"),
        *("directory", "label", "restart", "atoms", "scratch", "perm"),
        *("slako_dir", "species_dir", "basis_set_file", "potential_file", "define_str", "control_input"),
    }
)
"""Options that run something, or name places of a machine: they belong in the site file, or nowhere."""
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

    def validate(self, level: Level) -> None:
        """As of every engine, but no program is started: see `honesty` for what a calculator is tried on."""
        _check_consent(level)
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
        for element in level.elements or ():
            if element not in atomic_numbers:
                raise ValueError(f"elements: '{element}' is no element")

    def settings(self, level: Level) -> dict[str, object]:
        _check_consent(level)
        known, site = _known(level), read_site().program(_name(level))
        found: dict[str, object] = {"calculator": level.calculator, "options": level.options}
        if level.electrons is not None:
            found["electrons"] = level.electrons.model_dump(exclude_none=True)
        if site.options:
            found["site_options"] = site.options
        packages = known.packages if known else ("ase",)
        found["versions"] = _versions(site.python, packages)
        if known and known.command:
            found["program_digest"] = _program_digest(tuple(_command(known, site, 1)), level.calculator or "")
        if known is None:
            found["module_sha256"] = _module_digest(level.calculator or "")
        weights = [Path(text) for text in _texts([level.method, level.options]) if text.endswith(WEIGHTS)]
        if weights:
            found["weights_sha256"] = _digest(*weights)
        return found

    def calculator(self, level: Level, charge: int, multiplicity: int, threads: int) -> EngineCalculator:
        return AseCalculator(recipe(level, threads), charge, multiplicity, threads)


def recipe(level: Level, threads: int) -> Recipe:
    """How the level's calculator is made on this machine. Raises UserError for a wrong site file."""
    name = _name(level)
    known, site = _known(level), read_site()
    program = site.program(name)
    means = Means(threads, site.memory_mb)
    keywords = known.keywords(level, means) if known else {}
    electrons = _electrons(level)
    config, more = "", dict(program.options)
    if known and known.takes_command:
        more["command"] = list[JsonValue](_command(known, program, threads))
    if known and known.section:
        command = shlex.join(_command(known, program, threads))
        config = f"[{known.section}]\n{known.command_key} = {command.replace('$', '$$')}\n"
    setup: dict[str, object] = {
        "factory": known.factory if known else name,
        "keywords": _merged(keywords, {} if known and known.takes_command else level.options or {}, more),
        "electrons": electrons.model_dump(exclude_none=True),
        "renewed": known.renewed if known else electrons.keywords is not None,
        "boxed": known is not None and known.is_boxed,
        "path": [] if program.python else [*filter(None, sys.path), str(Path.cwd())],
        "config": config,
    }
    return Recipe(
        name=name,
        setup=setup,
        electrons=electrons,
        elements=level.elements or (known.elements if known else None),
        python=program.python,
        environment=program.environment,
        scratch=Path(site.scratch).expanduser() if site.scratch else None,
        limit_s=site.gradient_limit_s,
    )


def _name(level: Level) -> str:
    """The calculator's name, also where its class in ASE is said; the user's own by its import path."""
    said = level.calculator or ""
    return next((name for name, known in KNOWN.items() if said in (name, known.factory)), said)


def _known(level: Level) -> Known | None:
    """What is known of the calculator."""
    return KNOWN.get(_name(level))


def _electrons(level: Level) -> Electrons:
    """How charge and multiplicity reach the level's calculator."""
    if level.electrons is not None or _known(level) is None:
        return level.electrons or Electrons()
    return electrons_of(_name(level), level.method)


def _check_consent(level: Level) -> None:
    """Raise ValueError for a calculator that is neither known nor allowed to run here."""
    name = level.calculator
    if name is None:
        raise ValueError(f"the engine ase needs a calculator: {', '.join(KNOWN)}, or module:class")
    site = read_site()
    if _known(level) is None:
        if not IMPORT_PATH.fullmatch(name):
            raise ValueError(f"no calculator is called '{name}'{nearest(name, KNOWN)}; or write module:class")
        module = name.partition(":")[0]
        if not site.allows(name):
            raise ValueError(
                f"the calculator {name} is code of your own, which runs only with your consent: write "
                f"`allow_calculators: [{module}]` into {site_path()}; "
                f"for one call, set {ALLOW_VARIABLE}={module}"
            )
    for text in _texts([level.method, level.options]):
        if text.endswith(WEIGHTS) and not site.allows(text):
            raise ValueError(
                f"loading {text} may run code that somebody put into it; if you trust it, write "
                f"`allow_calculators: [{text}]` into {site_path()}; for one call, set {ALLOW_VARIABLE}={text}"
            )


def _check_options(options: Mapping[str, JsonValue]) -> None:
    """Raise ValueError for options that name what only the site file may, or that smuggle in more input."""
    for key in options:
        if key.lower() in OF_THE_SITE or any(part in key.lower() for part in OF_PLACES):
            raise ValueError(f"options: {key} belongs in the site file ({site_path()}), not in a config")
    for text in _texts([dict(options)]):
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
    for text in _texts([level.method, level.basis, level.options]):
        for word in known.forbidden:
            if word in text.lower():
                raise ValueError(
                    f"options: '{word}' would have {_name(level)} run or read something else; a config "
                    "may not ask for that"
                )
    if _name(level) == "xtb" and level.method.lower() not in FLAGS:
        raise ValueError(f"xtb has no method '{level.method}'{nearest(level.method, FLAGS)}")
    if _name(level) == "xtb" and level.options:
        raise ValueError("the calculator xtb has no options; leave them out")


def _texts(value: object) -> Iterator[str]:
    """Every text within a value, keys among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield str(key)
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)


def _merged(*parts: Mapping[str, object]) -> dict[str, object]:
    """Keywords, those of later parts first; keywords within keywords are merged."""
    whole: dict[str, object] = {}
    for part in parts:
        for key, value in part.items():
            before = whole.get(key)
            both = isinstance(value, Mapping) and isinstance(before, Mapping)
            whole[key] = _merged(before, value) if both else value  # type: ignore[arg-type]
    return {key: value for key, value in whole.items() if value is not None}


def _command(known: Known, program: Program, threads: int) -> list[str]:
    """The program's command, word for word; no shell reads it. ORCA in parallel needs its full path."""
    first, *others = shlex.split((program.command or known.command).replace("{threads}", str(threads)))
    return [shutil.which(first) or first, *others]


@functools.cache
def _versions(python: str | None, packages: tuple[str, ...]) -> dict[str, str]:
    """Versions of packages that an interpreter has; raises MissingProgramError where it lacks one."""
    if python is None:
        return {package: _version(package) for package in packages}
    code = "import sys, importlib.metadata as m; print('\\n'.join(m.version(p) for p in sys.argv[1:]))"
    try:
        done = subprocess.run([python, "-c", code, *packages], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingProgramError(f"{python}, which the site file names, cannot be run: {error}") from None
    if done.returncode:
        raise MissingProgramError(f"{python} lacks one of the packages {', '.join(packages)}")
    return dict(zip(packages, done.stdout.split(), strict=True))


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise MissingProgramError(
            f"the package {package} is not installed here: `pip install {package}`, best in an environment "
            f"of its own, and name that one's python in {site_path()}"
        ) from None


@functools.cache
def _program_digest(words: tuple[str, ...], name: str) -> str:
    paths = [shutil.which(word) for word in words]
    if paths[0] is None:
        raise MissingProgramError(
            f"the program {words[0]} of the calculator {name} is not installed here; put it on the PATH, or "
            f"say its command in {site_path()}"
        )
    return _digest(*(Path(path) for path in paths if path))


def _module_digest(calculator: str) -> str:
    """Of the file that a class of the user's own is in; found without importing anything."""
    parts = calculator.partition(":")[0].split(".")
    for folder in (*sys.path, str(Path.cwd())):
        base = Path(folder, *parts)
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.is_file():
                return _digest(path)
    raise MissingProgramError(
        f"the module {'.'.join(parts)} of the calculator {calculator} is not found here"
    )


def _digest(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        try:
            with path.expanduser().open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from None
    return digest.hexdigest()
