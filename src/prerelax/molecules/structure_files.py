"""Files with coordinates as rows: SDF, (extended) XYZ, and the npz of training sets."""

import json
import re
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from prerelax.errors import UserError
from prerelax.molecules.row import InputFileError, RecordFile, Row, lines_of, stem
from prerelax.reading import read_arrays

# --- SDF ----------------------------------------------------------------------------------------------------


def sdf_file(path: Path) -> RecordFile[list[str]]:
    return RecordFile(_sdf_records(path), _sdf_row)


def _sdf_records(path: Path) -> Iterator[tuple[str, list[str]]]:
    for number, record in enumerate(_split_sdf(path), start=1):
        title = record[0].strip() if record else ""
        yield title or _sdf_data(record).get("id") or f"{stem(path)}-{number}", record


def _split_sdf(path: Path) -> Iterator[list[str]]:
    record: list[str] = []
    for line in lines_of(path):
        if line.startswith("$$$$"):
            yield record
            record = []
        else:
            record.append(line)
    if any(line.strip() for line in record):
        yield record


def _sdf_row(number: int, name: str, record: list[str]) -> Row:
    data = _sdf_data(record)
    end = next((i for i, line in enumerate(record) if line.startswith("M  END")), len(record) - 1)
    molblock = "\n".join(record[: end + 1]) + "\n"
    return Row(
        number,
        "sdf",
        name,
        molblock,
        charge=data.get("charge", ""),
        multiplicity=data.get("multiplicity", ""),
        others={key: value for key, value in _sdf_fields(record).items() if key.lower() not in _READ_OF_SDF},
    )


_READ_OF_SDF = ("id", "charge", "multiplicity")


def _sdf_data(lines: list[str]) -> dict[str, str]:
    """The first line of each data field, by the field's lower-case name."""
    return {name.lower(): value.partition("\n")[0] for name, value in _sdf_fields(lines).items()}


def _sdf_fields(lines: list[str]) -> dict[str, str]:
    """The data fields by name; a value ends at an empty line, or where one is lacking at the next field."""
    values: dict[str, list[str]] = {}
    value: list[str] | None = None
    for line in lines:
        if line.startswith(">") and (name := re.search(r"<([^>]+)>", line)):
            value = values[name.group(1).strip()] = []
        elif not line.strip():
            value = None
        elif value is not None:
            value.append(line.strip())
    return {name: "\n".join(found) for name, found in values.items()}


# --- XYZ ----------------------------------------------------------------------------------------------------

_CHARGE = re.compile(r"(?:\bcharge\s*:|\bq\s*[=:])\s*([+-]?\d+)(?![\w.])", re.IGNORECASE)
"""as `charge: -1` and `q=-1` say it"""
_KEY_VALUE = re.compile(r"""([A-Za-z_]\w*)\s*=\s*("(?:\\.|[^"\\])*"|'[^']*'|\S+)""")


_CHARGE_AND_MULTIPLICITY = re.compile(r"\s*([+-]?\d+)[\s,]+([1-9]\d*)\s*")
"""A comment line of two whole numbers, as Gaussian and xtb's tools write it."""


def xyz_file(path: Path) -> RecordFile[list[str]]:
    return RecordFile(_xyz_records(path), _xyz_row)


def _xyz_records(path: Path) -> Iterator[tuple[str, list[str]]]:
    frames = _xyz_frames(path)
    beginning = list(islice(frames, 2))
    for number, frame in enumerate(chain(beginning, frames), start=1):
        unnamed = stem(path) if len(beginning) == 1 else f"{stem(path)}-{number}"
        comment = _comment(frame)
        yield _info(comment).get("id") or _name_in_comment(comment) or unnamed, frame


def _xyz_frames(path: Path) -> Iterator[list[str]]:
    """Lists of lines, each from one atom count to the next.

    Frames are cut where a count stands, whatever its value: a wrong count spoils its own frame, not the rest.
    """
    frame: list[str] = []
    for line in lines_of(path):
        is_comment = len(frame) == 1 and frame[0].strip().isdigit()
        if is_comment:
            frame.append(line)
        elif line.strip().isdigit():
            if frame:
                yield frame
            frame = [line]
        elif line.strip():
            frame.append(line)
    if frame:
        yield frame


def _comment(frame: list[str]) -> str:
    return frame[1] if len(frame) > 1 and frame[0].strip().isdigit() else ""


def _info(comment: str) -> dict[str, str]:
    info = {key.lower(): _info_value(value) for key, value in _KEY_VALUE.findall(comment)}
    if "charge" not in info and (charge := _CHARGE.search(comment)):
        info["charge"] = charge[1]
    return info


def _xyz_row(number: int, name: str, frame: list[str]) -> Row:
    if not frame[0].strip().isdigit():
        return Row(number, "xyz", name, "\n".join(frame))
    info = _info(_comment(frame))
    if two := _CHARGE_AND_MULTIPLICITY.fullmatch(_comment(frame)):
        info = {"charge": two[1], "multiplicity": two[2]}
    return Row(
        number,
        "xyz",
        name,
        "\n".join(frame[2:]),
        charge=info.get("charge", ""),
        multiplicity=info.get("multiplicity", ""),
        smiles=info.get("smiles", ""),
        n_atoms=frame[0].strip(),
        columns=info.get("properties", ""),
    )


def _info_value(raw: str) -> str:
    """A value of an extended XYZ comment as text: unquoted, unescaped, and out of ASE's `_JSON` form."""
    value = re.sub(r"\\(.)", r"\1", raw[1:-1]) if raw[:1] == '"' else raw.strip("'")
    if not value.startswith("_JSON "):
        return value
    try:
        decoded = json.loads(value.removeprefix("_JSON "))
    except ValueError:
        return value
    return decoded if isinstance(decoded, str) else json.dumps(decoded)


def _name_in_comment(comment: str) -> str:
    """The comment of plain XYZ where it is one word that names something; energies and sentences do not."""
    words = _KEY_VALUE.sub(" ", comment).split()
    if len(words) != 1 or "=" in words[0]:
        return ""
    try:
        float(words[0])
    except ValueError:
        return words[0]
    return ""


# --- NPZ ----------------------------------------------------------------------------------------------------


def npz_file(path: Path) -> RecordFile[list[str]]:
    return RecordFile(_npz_records(path), _npz_row)


def _npz_records(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Molecules of flat arrays, as training sets come: `ids`, `n_atoms`, `numbers`, `positions` in Å."""
    import numpy as np

    try:
        arrays = read_arrays(path)
        ids, n_atoms, numbers, positions = (
            arrays[name] for name in ("ids", "n_atoms", "numbers", "positions")
        )
    except (KeyError, UserError) as error:
        raise InputFileError(
            f"{path}: not a set of molecules with the arrays ids, n_atoms, numbers, positions ({error})"
        ) from error
    whole = n_atoms.dtype.kind in "iu" and numbers.dtype.kind in "iu" and positions.dtype.kind in "iuf"
    total = int(n_atoms.astype(int).sum()) if whole else 0
    shapes = ids.ndim == 1 and ids.shape == n_atoms.shape and numbers.shape == (total,)
    if not (whole and shapes and positions.shape == (total, 3) and np.all(n_atoms.astype(int) > 0)):
        raise InputFileError(
            f"{path}: its arrays contradict each other: n_atoms must give a whole number for each of ids, "
            "and numbers and positions (in three columns) as many atoms as n_atoms adds up to"
        )
    ends = np.cumsum(n_atoms)
    for name, n, end in zip(ids.tolist(), n_atoms.tolist(), ends.tolist(), strict=True):
        atoms = zip(numbers[end - n : end].tolist(), positions[end - n : end].tolist(), strict=True)
        yield str(name), [f"{z} {x:.9g} {y:.9g} {w:.9g}" for z, (x, y, w) in atoms]


def _npz_row(number: int, name: str, lines: list[str]) -> Row:
    return Row(number, "xyz", name, "\n".join(lines), n_atoms=str(len(lines)))
