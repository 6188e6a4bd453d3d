"""Inputs and outputs of Gaussian and ORCA as rows: the last geometry with its charge and multiplicity."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from prerelax.molecules.row import InputFileError, RecordFile, Row, lines_of, stem


@dataclass(frozen=True)
class _Output:
    """Where a program's output has what a row needs."""

    banners: tuple[str, ...]
    state: re.Pattern[str]
    """charge and multiplicity"""
    geometry: re.Pattern[str]
    """the heading of a geometry's atoms"""
    atom: re.Pattern[str]
    """element and x y z"""


_OUTPUTS = (
    _Output(
        ("Entering Gaussian System", "Gaussian, Inc."),
        re.compile(r"Charge\s*=\s*(-?\d+)\s+Multiplicity\s*=\s*(\d+)"),
        re.compile(r"(?:Standard|Input|Z-Matrix) orientation:\s*\n -+\n.*\n.*\n -+\n"),
        re.compile(r"\s*\d+\s+(\d+)\s+\d+\s+(\S+)\s+(\S+)\s+(\S+)\s*"),
    ),
    _Output(
        ("O   R   C   A",),
        re.compile(r"Total Charge\s+Charge\s+\.\.\.\.\s*(-?\d+)\s+Multiplicity\s+Mult\s+\.\.\.\.\s*(\d+)"),
        re.compile(r"CARTESIAN COORDINATES \(ANGSTROEM\)\s*\n-+\n"),
        re.compile(r"\s*([A-Z][a-z]?)\s+(\S+)\s+(\S+)\s+(\S+)\s*"),
    ),
)
_CHARGE_AND_MULTIPLICITY = re.compile(r"\s*([+-]?\d+)[\s,]+([1-9]\d*)(?:[\s,]+-?\d+)*\s*")
_ORCA_BLOCK = re.compile(r"\s*\*\s*(xyz\w*|int|gzmt)\s+(-?\d+)\s+(\d+)(.*)", re.IGNORECASE)


def output_file(path: Path) -> RecordFile[list[str]]:
    """A .log or .out of Gaussian or ORCA. Raises InputFileError for one of another program."""
    lines = list(lines_of(path))
    text = "\n".join(lines)
    output = next((each for each in _OUTPUTS if any(word in text for word in each.banners)), None)
    if output is None:
        raise InputFileError(f"{path}: not an output of Gaussian or ORCA, the two that are read")

    def row(number: int, name: str, record: list[str]) -> Row:
        stated = output.state.search(text)
        charge, multiplicity = stated.groups() if stated else ("", "")
        return _row(number, name, _last_geometry(text, output), charge, multiplicity)

    return RecordFile(iter([(stem(path), lines)]), row)


def _last_geometry(text: str, output: _Output) -> list[str]:
    headings = list(output.geometry.finditer(text))
    atoms = []
    for line in text[headings[-1].end() :].splitlines() if headings else ():
        atom = output.atom.fullmatch(line)
        if atom is None:
            break
        atoms.append(" ".join(atom.groups()))
    return atoms


def gaussian_input(path: Path) -> RecordFile[list[str]]:
    """A .gjf or .com with Cartesian coordinates; of several linked steps the first that has any."""

    def row(number: int, name: str, lines: list[str]) -> Row:
        sections = list(_sections(lines))
        for section in sections:
            if stated := _CHARGE_AND_MULTIPLICITY.fullmatch(section[0]):
                atoms = [_without_fragment(line) for line in section[1:]]
                return _row(number, name, atoms, stated[1], stated[2])
        return _row(number, name, [], "", "")

    return RecordFile(iter([(stem(path), list(lines_of(path)))]), row)


def _sections(lines: Sequence[str]) -> Iterator[list[str]]:
    section: list[str] = []
    for line in (*lines, ""):
        if line.strip():
            section.append(line)
        elif section:
            yield section
            section = []


def _without_fragment(line: str) -> str:
    """An atom line as element and x y z: `C(Fragment=1) 0 x y z` has more."""
    element, *numbers = line.replace(",", " ").split() or [""]
    element = re.sub(r"\(.*\)|-.*", "", element)
    return " ".join([element, *(numbers[1:] if len(numbers) == 4 else numbers)])


def orca_input(path: Path) -> RecordFile[list[str]]:
    """A .inp with the coordinates in it, `* xyz CHARGE MULTIPLICITY … *`."""

    def row(number: int, name: str, lines: list[str]) -> Row:
        for place, line in enumerate(lines):
            block = _ORCA_BLOCK.fullmatch(line)
            if block is None:
                continue
            if block[1].lower() != "xyz":
                break
            rest = lines[place + 1 :]
            end = next((i for i, each in enumerate(rest) if each.strip().startswith("*")), len(rest))
            return _row(number, name, rest[:end], block[2], block[3])
        return _row(number, name, [], "", "")

    return RecordFile(iter([(stem(path), list(lines_of(path)))]), row)


def _row(number: int, name: str, atoms: Sequence[str], charge: str, multiplicity: str) -> Row:
    text = "\n".join(atoms) or "no Cartesian coordinates are found in it"
    n_atoms = str(len(atoms)) if atoms else ""
    return Row(number, "xyz", name, text, charge=charge, multiplicity=multiplicity, n_atoms=n_atoms)
