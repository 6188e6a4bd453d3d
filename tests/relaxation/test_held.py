"""Constraints hold through every stage, and what cannot hold them says so."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prerelax.campaign.config import load_campaign
from prerelax.campaign.molecule_file import make_molecule_file
from prerelax.errors import UserError
from prerelax.molecules.constraints import Constraints
from prerelax.records.record import Record
from prerelax.records.shard import read_shard
from prerelax.relaxation.settings import HOLDING, Relaxation
from prerelax.relaxation.shard import Named, relax_shard
from prerelax.starts.embed import embed_shard
from prerelax.starts.forcefield import forcefield_shard

GAUCHE = "dihedral 1 2 3 4; distance 1 4"
"""of butanol's embedding, neither of which is a minimum's"""


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("held")
    rows = f'id,smiles,constraints\nbutanol,CCCCO,"{GAUCHE}"\nfrozen,CCO,atoms 1-3\nfree,CCO,\n'
    (folder / "m.csv").write_text(rows + "wrong,CCO,dihedral 1 2 3\n")
    embed_shard(folder / "m.csv", folder / "rdkit.extxyz", None, 1, 42)
    forcefield_shard(folder / "rdkit.extxyz", folder / "mmff94.extxyz", "mmff94", None, "mmff94")
    return folder


def check_held(before: list[Record], after: list[Record], is_exact: bool = False) -> None:
    butanol, frozen, free, wrong = after
    assert wrong.status == "input_error" and "dihedral takes 4 atoms, not 3" in wrong.message
    held = Constraints.read(GAUCHE, n_atoms=15)
    off = held.off(butanol.positions, held.values(before[0].positions))
    assert np.abs(off).max() < 1e-3
    distances = [
        np.linalg.norm(row.positions[:3, None] - row.positions[:3], axis=-1) for row in (before[1], frozen)
    ]
    np.testing.assert_allclose(*distances, atol=1e-4)
    assert np.linalg.norm(butanol.positions - before[0].positions) > 0.01, "the rest relaxes"
    assert free.constraints is None and free.status == "ok"


def test_force_fields_hold_them(embedded: Path) -> None:
    check_held(read_shard(embedded / "rdkit.extxyz"), read_shard(embedded / "mmff94.extxyz"))
    forcefield_shard(embedded / "rdkit.extxyz", embedded / "uff.extxyz", "uff", None, "uff")
    check_held(read_shard(embedded / "rdkit.extxyz"), read_shard(embedded / "uff.extxyz"))


@pytest.mark.parametrize(
    "optimizer",
    [None, "bfgs", *(pytest.param(each, marks=pytest.mark.slow) for each in sorted(HOLDING - {"bfgs"}))],
)
def test_every_optimizer_that_may_holds_them(optimizer: str | None, embedded: Path, tmp_path: Path) -> None:
    at = Relaxation(engine="tblite", method="GFN2-xTB", optimizer=optimizer)
    relax_shard(embedded / "mmff94.extxyz", tmp_path / "out.extxyz", at, named=Named(target="t"))
    rows = read_shard(tmp_path / "out.extxyz")
    check_held(read_shard(embedded / "mmff94.extxyz"), rows)
    assert [row.status for row in rows[:3]] == ["ok"] * 3
    assert rows[0].fmax_ev_ang < 0.03 and "held: distance 1 4" in rows[0].message.replace(
        "dihedral 1 2 3 4; ", ""
    )


def test_a_guided_optimizer_gives_way_or_refuses(embedded: Path, tmp_path: Path) -> None:
    named = Relaxation(engine="tblite", method="GFN2-xTB", optimizer="bfgs-hessian")
    relax_shard(embedded / "mmff94.extxyz", tmp_path / "out.extxyz", named, named=Named(target="t"))
    butanol, _, free, _ = read_shard(tmp_path / "out.extxyz")
    assert butanol.status == "input_error" and "bfgs-hessian holds no constraints" in butanol.message
    assert free.status == "ok"


@pytest.mark.slow
def test_dft_and_denoisers_hold_them(embedded: Path, tmp_path: Path) -> None:
    call = ["diffuse", str(embedded / "mmff94.extxyz"), str(tmp_path / "d.extxyz"), "--model", "relaxer-qm9"]
    subprocess.run([sys.executable, "-m", "prerelax", *call], check=True, capture_output=True)
    check_held(read_shard(embedded / "mmff94.extxyz"), read_shard(tmp_path / "d.extxyz"))
    hf = Relaxation(engine="pyscf", method="HF", basis="STO-3G")
    relax_shard(tmp_path / "d.extxyz", tmp_path / "r.extxyz", hf, named=Named(target="t"))
    check_held(read_shard(tmp_path / "d.extxyz"), read_shard(tmp_path / "r.extxyz"))


CAMPAIGN: dict[str, Any] = {
    "campaign": "x",
    "molecules": "m.csv",
    "starts": {"mmff94": {"kind": "forcefield"}},
    "targets": {"t": {"engine": "pyscf", "method": "PBE", "basis": "def2-SVP", "optimizer": "two-level"}},
}


def test_what_cannot_hold_them_stops_a_campaign_before_it_begins(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"targets\.t\.optimizer: two-level holds no constraints"):
        load_campaign(CAMPAIGN | {"constraints": "rotatable"})
    with pytest.raises(UserError, match="constraint 'rotatible' begins with none of atoms, distance"):
        load_campaign(CAMPAIGN | {"constraints": "rotatible"})
    campaign = load_campaign(CAMPAIGN)
    (tmp_path / "m.csv").write_text("id,smiles\na,CCO\n")
    make_molecule_file(campaign, tmp_path)
    (tmp_path / "m.csv").write_text("id;smiles;Constraints\na;CCO;rotatable\n")
    with pytest.raises(UserError, match=r"has a column constraints; targets\.t\.optimizer: two-level"):
        make_molecule_file(campaign, tmp_path)
