"""A set of GFN2-xTB minima from SMILES, made by the real programs."""

from pathlib import Path

import numpy as np

from prerelax.datasets.structures import read_npz
from prerelax.molecules.superposition import rmsd
from prerelax.records.shard import read_shard
from prerelax.set_making.minima import make_minima
from prerelax.set_making.options import MinimaOptions
from prerelax.starts.embed import embed_shard


def test_minima_come_with_the_start_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "in.smi").write_text(
        "CCO 11\nCC(=O)NC 12\nC[N+](C)(C)C.[Cl-] 13\nC1#CC#C1 14\nCBr 15\nO=C=O 16\n"
    )
    (tmp_path / "test.smi").write_text("C(C)O tested\n")
    embed_shard(tmp_path / "test.smi", tmp_path / "test.extxyz", None, 1, 42)
    out = tmp_path / "sets" / "drugs.npz"
    gfn2 = MinimaOptions().relaxation.model_copy(update={"timeout_s": 60.0})
    options = MinimaOptions(relaxation=gfn2, conformers=2)
    made = make_minima(tmp_path / "in.smi", out, options, unlike=[tmp_path / "test.extxyz"])
    found = read_npz(out)
    assert 12 in found.ids and 15 in found.ids and 11 not in found.ids, "ethanol is a test molecule"
    assert made.n_minima == len(found) and made.molecules_per_hour > 0
    assert made.statuses["skipped"] == 2
    assert found.positions_start is not None and found.graphs is not None
    assert len(set(found.graphs.tolist())) == len(found)

    relaxed = {(r.id, r.conformer): r for r in read_shard(tmp_path / "sets" / "drugs.minima.extxyz")}
    energies = [relaxed["12", k].energy_ev for k in (0, 1)]
    lowest = relaxed["12", int(np.argmin(np.array(energies, dtype=float)))]
    row = found.ids.tolist().index(12)
    atoms = found.atoms_of(row)
    np.testing.assert_allclose(found.positions[atoms], lowest.positions, atol=1e-4)
    starts = {(r.id, r.conformer): r for r in read_shard(tmp_path / "sets" / "drugs.mmff94.extxyz")}
    own = starts["12", lowest.conformer].positions
    assert rmsd(found.positions_start[atoms], own) < 1e-4
    assert 0.001 < rmsd(own, lowest.positions) < 0.5

    again = make_minima(tmp_path / "in.smi", out, options, unlike=[tmp_path / "test.extxyz"])
    assert again.molecules_per_hour == 0.0 and again.n_minima == made.n_minima, "all from the journal"
