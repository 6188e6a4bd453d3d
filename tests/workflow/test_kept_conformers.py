"""Conformers sorted out, constraints held and single points, in one campaign from the table to the export."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from conftest import Run
from prerelax.exports.export import export
from prerelax.molecules.constraints import Constraints
from prerelax.records.shard import read_shard

pytestmark = pytest.mark.slow

CONFIG: dict[str, Any] = {
    "campaign": "kept",
    "molecules": "m.csv",
    "compare": "none",
    "conformers": {"count": 4, "keep": {"at": "gfn1", "window_kcal_mol": 2}},
    "targets": {"gfn2": {"engine": "tblite", "method": "GFN2-xTB"}},
    "single_points": {"hf": {"engine": "pyscf", "method": "HF", "basis": "STO-3G"}},
}
TABLE = "id,smiles,constraints\nglycol,OCCO,\nwater,O,\nheld,CCCO,dihedral 1 2 3 4\nbad,C(,\n"


def test_from_conformers_to_single_points(snakemake: Run, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(TABLE)
    done = snakemake(CONFIG, "--until", "compare")
    assert done.returncode == 0, done.stderr
    results = tmp_path / "results" / "kept"
    table = pd.read_csv(results / "comparison.csv")
    water = table[table["id"] == "water"]
    assert sorted(water["status"]) == ["ok", "skipped", "skipped", "skipped"]
    assert water["message"].dropna().str.startswith("the same conformer as ").all()
    relaxed = table[table["status"] == "ok"]
    assert relaxed["single_point_hf_ev"].notna().all()
    sums = relaxed.groupby("id")["boltzmann_weight"].sum()
    assert sums.round(3).to_dict() == {"glycol": 1.0, "held": 1.0, "water": 1.0}
    found = pd.read_csv(results / "ensembles.csv").set_index("id")
    assert found.loc["water", ["n_conformers", "n_same", "n_relaxed", "n_minima"]].tolist() == [4, 3, 1, 1]
    held = Constraints.read("dihedral 1 2 3 4", n_atoms=12)
    stages = [
        read_shard(results / f"{n}/0000.extxyz") for n in ("molecules", "kept/gfn1", "relaxed/gfn2/gfn1")
    ]
    for rows in zip(*stages, strict=True):
        if rows[0].id == "held" and rows[-1].proceeds:
            values = [float(held.values(row.positions)[0]) for row in rows]
            assert abs(held.off(rows[-1].positions, values[:1])[0]) < 1e-2
    export(results, "csv", lowest=True)
    assert pd.read_csv(results / "minima.csv")["hf_hartree"].notna().sum() == 3
    again = snakemake(CONFIG, "--until", "compare", "--dry-run")
    assert re.search(r"^total +0$", again.stdout, re.MULTILINE), again.stdout
    wider = json.loads(json.dumps(CONFIG))
    wider["conformers"]["keep"]["window_kcal_mol"] = 5
    dry = snakemake(wider, "--until", "compare", "--dry-run")
    assert re.search(r"^keep +1$", dry.stdout, re.MULTILINE), dry.stdout
    assert not re.search(r"^(embed|forcefield|prerelax_xtb) +1$", dry.stdout, re.MULTILINE), dry.stdout
