"""What `prerelax export` writes."""

from pathlib import Path

from prerelax.campaign.layout import Layout
from prerelax.campaign.stages import opened_campaign
from prerelax.errors import UserError, nearest
from prerelax.exports.files import WRITERS
from prerelax.exports.inputs import ENDINGS, write_inputs
from prerelax.exports.minima import Minimum, chosen_target, minima
from prerelax.exports.supporting import write_supporting_information

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
        written = out or place / f"{kind}-inputs"
        write_inputs(usable, kind, template, written)
    elif kind == "si":
        written = out or place / "supporting-information.md"
        write_supporting_information(usable, campaign.targets[at], written)
    else:
        ending, write = WRITERS[kind]
        written = out or place / f"minima{ending}"
        write(rows if kind == "csv" else usable, level, written)
    left_out = len(rows) - len(usable)
    note = f"; {left_out} rows have none (prerelax export --to csv says why)" if left_out else ""
    return f"{written}: {len(usable)} minima at {level}{note}"


def is_usable(row: Minimum) -> bool:
    """Whether a row has a minimum to hand on; one that is not converged is, and says so."""
    return row.record.proceeds and row.record.energy_ev is not None and bool(row.record.smiles)
