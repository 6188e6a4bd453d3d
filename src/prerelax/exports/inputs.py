"""Inputs of ORCA and Gaussian for the minima, from a template that leaves charge and geometry open."""

import string
from collections.abc import Sequence
from pathlib import Path

from prerelax.errors import UserError
from prerelax.exports.minima import Minimum
from prerelax.molecules.program_inputs import NEEDED, filled_input

TEMPLATES = {
    "orca": "# {name}\n! r2SCAN-3c TightSCF\n\n* xyz {charge} {multiplicity}\n{geometry}\n*\n",
    "gaussian": "%chk={name}.chk\n#p wB97XD/def2TZVP\n\n{name}\n\n{charge} {multiplicity}\n{geometry}\n\n",
}
"""Single points; a user's own template says what is wanted."""
ENDINGS = {"orca": ".inp", "gaussian": ".gjf"}


def write_inputs(minima: Sequence[Minimum], program: str, template: Path | None, folder: Path) -> None:
    """One input for each minimum, called after its molecule.

    Raises UserError for a template that lacks a place. Braces of the program itself
    stay as they are: only {name}, {charge}, {multiplicity} and {geometry} are filled in.
    """
    text = TEMPLATES[program] if template is None else _read(template)
    missing = [f"{{{place}}}" for place in NEEDED if f"{{{place}}}" not in text]
    if missing:
        raise UserError(f"{template}: the template lacks {', '.join(missing)}, which are filled in")
    folder.mkdir(parents=True, exist_ok=True)
    names = _file_names([minimum.name for minimum in minima])
    for minimum, name in zip(minima, names, strict=True):
        record = minimum.record
        filled = filled_input(
            text, record.numbers, record.positions, record.charge, record.multiplicity, name
        )
        (folder / f"{name}{ENDINGS[program]}").write_text(filled, encoding="utf-8")


def _read(template: Path) -> str:
    try:
        return template.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{template}: the template cannot be read ({error})") from None


def _file_names(names: Sequence[str]) -> list[str]:
    """Names that every file system takes, all different."""
    allowed = set(string.ascii_letters + string.digits + "._-+()")
    found: list[str] = []
    taken: set[str] = set()
    for name in names:
        plain = "".join(each if each in allowed else "_" for each in name).lstrip(".") or "molecule"
        plain, number = plain[:120], 1
        unique = plain
        while unique.lower() in taken:
            number += 1
            unique = f"{plain}-{number}"
        taken.add(unique.lower())
        found.append(unique)
    return found
