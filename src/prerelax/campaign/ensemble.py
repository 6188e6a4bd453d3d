"""Several conformers of each molecule, and which of them go on to the targets."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from prerelax.campaign.section import Name
from prerelax.settings import Settings
from prerelax.starts.options import Conformers

CHEAP_STARTS: dict[str, dict[str, str]] = {
    name: {"kind": "relax", "from": "mmff94", "engine": "tblite", "method": method}
    for name, method in (("gfn2", "GFN2-xTB"), ("gfn1", "GFN1-xTB"))
}
"""Starts by which conformers are kept, where a campaign does not have them."""


class Keep(Settings):
    """Which conformers go on: the different ones, near the lowest at a cheap level."""

    window_kcal_mol: float = Field(
        3.0,
        gt=0,
        allow_inf_nan=False,
        description="Keep those no higher above the molecule's lowest, kcal/mol",
    )
    rmsd_ang: float = Field(
        0.3,
        gt=0,
        allow_inf_nan=False,
        description="Two are the same below this RMSD, Å, of heavy atoms and hydrogens not on carbon, "
        "equivalent atoms matched and mirror images alike",
    )
    at: Name = Field(
        "gfn2",
        description="Start of the kind relax or sample whose energies decide; gfn2, gfn1 need no definition",
    )


class Ensemble(Settings):
    """Conformers of each molecule, made and sorted out before the targets see them."""

    count: Conformers = Field(description="Conformers of each molecule to begin with")
    method: Literal["etkdg", "sample"] = Field(
        "etkdg",
        description="How they are found: embedded, or searched for with GFN2-xTB (guide: Find conformers)",
    )
    keep: Keep | None = Field(Keep(), description="Which go on to the targets; null: all")


def _kind(said: object) -> str:
    return "Ensemble" if isinstance(said, Mapping | Ensemble) else "number"


ConformerChoice = Annotated[
    Annotated[Conformers, Tag("number")] | Annotated[Ensemble, Tag("Ensemble")], Discriminator(_kind)
]


def with_kept_start(config: Mapping[str, Any], default_starts: Mapping[str, Any]) -> dict[str, Any]:
    """A config whose `conformers` name a start by which they are kept, with that start.

    Without starts of its own the campaign relaxes the kept minima. Otherwise its targets relax the starts
    that it says, as if nothing were added.
    """
    whole = dict(config)
    said = whole.get("conformers")
    if not isinstance(said, Mapping) or said.get("keep", {}) is None:
        return whole
    keep = said.get("keep") or {}
    at = keep.get("at", "gfn2") if isinstance(keep, Mapping) else None
    made: dict[str, Any] | None = CHEAP_STARTS.get(str(at))
    if said.get("method") == "sample" and at == "gfn2":
        made = {"kind": "sample", "from": "mmff94", "conformers": said.get("count")}
        made["minimised"] = max(10, said["count"]) if isinstance(said.get("count"), int) else 10
    starts = whole.get("starts")
    if made is None or (isinstance(starts, Mapping) and at in starts):
        return whole
    if not isinstance(starts, Mapping):
        return whole | {"starts": {"mmff94": default_starts["mmff94"], at: made}}
    missing = {} if "mmff94" in starts else {"mmff94": default_starts["mmff94"]}
    targets = {
        name: {"starts": list(starts), **target} if isinstance(target, Mapping) else target
        for name, target in (whole.get("targets") or {}).items()
    }
    return whole | {"starts": {**missing, at: made, **starts}} | ({"targets": targets} if targets else {})
