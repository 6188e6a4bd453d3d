"""The file whose rows a campaign's shards are, where it is not the user's own: a sample, or all isomers."""

import csv
import io
import re
from pathlib import Path

from prerelax.campaign.config import Campaign
from prerelax.campaign.sample import drawn_rows
from prerelax.errors import UserError
from prerelax.molecules.input_files import count_rows, read_rows
from prerelax.molecules.row import open_text
from prerelax.records.atomic_write import write_text_atomically
from prerelax.starts.isomer_file import make_isomer_file


def make_molecule_file(campaign: Campaign, directory: Path = Path()) -> None:
    """Write `campaign.molecule_file` of a campaign run in `directory`, unless it is there and newer.

    Raises UserError for molecules that cannot be read, or not be drawn from, and where a part of the campaign
    would not keep to their column `constraints`.
    """
    molecules = directory / campaign.molecules
    if has_constraints(molecules) and (complaints := list(campaign.cannot_hold())):
        raise UserError(f"{molecules} has a column constraints; {'; '.join(complaints)}")
    if campaign.draw is not None:
        drawn = directory / campaign.drawn_file
        if not _is_newer(drawn, molecules):
            draw_molecules(molecules, drawn, campaign.draw, campaign.seed)
        molecules = drawn
    if campaign.stereo == "enumerate":
        make_isomer_file(molecules, directory / campaign.molecule_file)


def has_constraints(molecules: Path) -> bool:
    """Whether a table has such a column. Of other files each row says it. Raises UserError."""
    if not molecules.name.lower().removesuffix(".gz").endswith(".csv") or not molecules.is_file():
        return False
    with open_text(molecules, newline="") as text:
        header = next((line for line in text if line.strip()), "")
    return "constraints" in {name.strip(" \"'").lower() for name in re.split(r"[,;\t\r\n]", header)}


def draw_molecules(molecules: Path, out: Path, n: int, seed: int) -> None:
    """Write `n` rows of a table of SMILES as a CSV, or of a set as an npz, in random order; all if no more.

    Raises UserError for other files.
    """
    chosen = drawn_rows(count_rows(molecules), n, seed)
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".npz":
        from prerelax.datasets.structures import read_npz, write_npz

        part = out.with_name(f".part-{out.name}")  # numpy would add .npz to another ending
        write_npz(part, read_npz(molecules).select(chosen))
        part.replace(out)
        return
    place = {row: at for at, row in enumerate(chosen)}
    drawn = (row for row in read_rows(molecules) if row.number - 1 in place)
    rows = sorted(drawn, key=lambda row: place[row.number - 1])
    if any(row.kind != "smiles" for row in rows):
        raise UserError(f"{molecules}: molecules are drawn (draw, limit) of SMILES or npz sets only")
    others = list(dict.fromkeys(name for row in rows for name in row.others))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "smiles", "charge", "multiplicity", *others])
    for row in rows:
        more = [row.others.get(name, "") for name in others]
        writer.writerow([row.id, row.text, row.charge, row.multiplicity, *more])
    write_text_atomically(out, text.getvalue())


def _is_newer(file: Path, than: Path) -> bool:
    return file.is_file() and than.is_file() and file.stat().st_mtime >= than.stat().st_mtime
