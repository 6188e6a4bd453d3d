"""What `prerelax export` writes."""

import os
from collections.abc import Sequence
from pathlib import Path

from prerelax.campaign.layout import Layout
from prerelax.campaign.stages import opened_campaign
from prerelax.errors import UserError, nearest, several
from prerelax.exports.files import WRITERS
from prerelax.exports.inputs import ENDINGS, write_inputs
from prerelax.exports.minima import Minimum, chosen_target, minima, unfinished_shards
from prerelax.exports.supporting import write_supporting_information
from prerelax.starts.conformers.keeping import is_left_out

KINDS = (*WRITERS, *ENDINGS, "si")


def export(
    config: Path,
    kind: str,
    *,
    out: Path | None = None,
    target: str | None = None,
    lowest: bool = False,
    template: Path | None = None,
) -> str:
    """Write the minima of a campaign (its config or its folder in results) as `kind`; say what was written.

    By default to `minima.*` in the results, inputs to a folder there. Rows without a minimum are counted, and
    stand in the CSV with their status. Raises UserError.
    """
    if kind not in KINDS:
        raise UserError(f"--to {kind} is not known{nearest(kind, KINDS)}")
    if template is not None and kind not in ENDINGS:
        raise UserError(f"--template is for {' and '.join(ENDINGS)}; leave it out for {kind}")
    campaign, directory = opened_campaign(config)
    at = chosen_target(campaign, target)
    level = campaign.targets[at].level
    rows = list(minima(campaign, directory, at, lowest))
    usable = [row for row in rows if is_usable(row)]
    place = directory / Layout.of(campaign.campaign).results
    if kind in ENDINGS:
        written = _destination(out, place / f"{kind}-inputs", is_folder=True)
        write_inputs(usable, kind, template, written)
    elif kind == "si":
        written = _destination(out, place / "supporting-information.md", is_folder=False)
        write_supporting_information(usable, campaign.targets[at], written)
    else:
        ending, write = WRITERS[kind]
        written = _destination(out, place / f"minima{ending}", is_folder=False)
        write(rows if kind == "csv" else usable, level, written)
    n_left = unfinished_shards(campaign, directory, at)
    unfinished = f"; the campaign is not finished: {several(n_left, 'shard')} to go" if n_left else ""
    return (
        f"{written}: {several(len(usable), 'minimum', 'minima')} at {level}{_notes(rows, usable)}{unfinished}"
    )


def _destination(out: Path | None, default: Path, *, is_folder: bool) -> Path:
    """Where to write, its folder made. Raises UserError where that cannot be, or holds something else."""
    path = out or default
    if path.exists() and path.is_dir() != is_folder:
        kind, wanted = ("file", "folder") if is_folder else ("folder", "file")
        raise UserError(f"{path} is a {kind}; name a {wanted} to write")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); name another place") from None
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UserError(f"{path} may not be written; name another place")
    return path


def _notes(rows: Sequence[Minimum], usable: Sequence[Minimum]) -> str:
    """What a user of the minima has to know first: which of them are no longer the molecule, or missing."""
    rearranged = sum(each.has_other_bonds for each in usable)
    isomers = sum(each.is_other_isomer for each in usable)
    sorted_out = sum(is_left_out(each.record) for each in rows)
    left_out = len(rows) - len(usable) - sorted_out
    notes = [
        f"{rearranged} with other bonds than the molecule (connectivity_unchanged)" if rearranged else "",
        f"{isomers} of another isomer (stereo_unchanged)" if isomers else "",
        f"{several(sorted_out, 'conformer')} not kept" if sorted_out else "",
        f"{several(left_out, 'row has', 'rows have')} none (the column message of --to csv says why)"
        if left_out
        else "",
    ]
    return "".join(f"; {note}" for note in notes if note)


def is_usable(row: Minimum) -> bool:
    """Whether a row has a minimum to hand on; one that is not converged is, and says so."""
    return row.record.proceeds and row.record.energy_ev is not None and bool(row.record.smiles)
