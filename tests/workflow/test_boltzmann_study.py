"""The Boltzmann study through Snakemake, on the smallest saturated chains."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from prerelax.errors import UserError
from prerelax.molecules.molecule import read_molecules
from prerelax.records.record import Record
from prerelax.records.shard import read_shard, write_shard
from prerelax.studies.boltzmann.flexible import flexible_molecules, is_flexible

STUDY: dict[str, Any] = {
    "model": "edm-qm9-small",
    "target": "gfn2",
    "molecules": 1,
    "steps": [10, 20],
    "repeats": 120,
    "burn_in": 20,
    "every": 5,
    "control": [20],
    "temperatures_k": [20, 120.5],
    "proposals": 300,
    "proposals_burn_in": 100,
}


def config(molecules: Path, study: dict[str, Any]) -> dict[str, Any]:
    return {
        "campaign": "chains",
        "molecules": str(molecules),
        "starts": {"rdkit": {"kind": "embed"}, "mmff94": {"kind": "forcefield"}},
        "studies": {"boltzmann": study},
    }


@pytest.mark.slow
def test_the_study_makes_its_figures_and_goes_on(tmp_path: Path, data_folder: Path, snakemake: Any) -> None:
    molecules = data_folder.resolve() / "qm9_small_test.npz"
    figures = tmp_path / "results/chains/figures"
    wanted = [figures.relative_to(tmp_path) / "boltzmann_temperature.png"]
    done = snakemake(config(molecules, STUDY), "--keep-going", *map(str, wanted))
    assert done.returncode == 0, done.stderr
    for name in ("boltzmann_violins", "boltzmann_temperature", "boltzmann_heat_capacity"):
        for kind in ("png", "pdf", "csv"):
            assert (figures / f"{name}.{kind}").stat().st_size > 0
    numbers = pd.read_csv(figures / "boltzmann_temperature_numbers.csv").set_index("quantity")
    assert numbers.loc["n = 20: chains of its noise alone that break", "ours"] == 1
    assert numbers.loc["seconds per thousand energies, Metropolis", "ours"] > 0
    assert numbers.loc["hours of one worker for 24 000 × 18 × 10 energies", "ours"] > 0
    log = (tmp_path / "results/chains/logs/metropolis/120.5K.log").read_text()
    assert "% accepted" in log
    # Longer chains go on from what the shorter ones kept.
    pattern = "boltzmann/metropolis/120.5K.chains/*.npz"
    (kept,) = (tmp_path / "results/chains").glob(pattern)
    with np.load(kept) as chain:
        before = chain["energies_ev"]
    done = snakemake(config(molecules, STUDY | {"proposals": 500}), "--keep-going", *map(str, wanted))
    assert done.returncode == 0, done.stderr
    with np.load(kept) as chain:
        assert len(chain["energies_ev"]) == 500
        assert (chain["energies_ev"][:300] == before).all()


def test_names_of_the_study_are_checked(tmp_path: Path, snakemake: Any) -> None:
    (tmp_path / "molecules.csv").write_text("id,smiles\na,CC\n")
    for changes, complaint in (
        ({"target": "dft"}, "studies.boltzmann: dft is not among the targets"),
        ({"minima": "qm9"}, "studies.boltzmann.minima: qm9 is not among the starts"),
        ({"temperatures_k": [20]}, "studies.boltzmann.temperatures_k"),
    ):
        done = snakemake(config(Path("molecules.csv"), STUDY | changes))
        assert done.returncode != 0
        assert complaint in done.stderr
        assert "Traceback" not in done.stderr


def test_a_job_for_each_temperature_and_step(tmp_path: Path, snakemake: Any) -> None:
    (tmp_path / "molecules.csv").write_text("id,smiles\na,CC\n")
    study = {"model": "edm-qm9-small", "target": "gfn2"}
    wanted = "results/chains/figures/boltzmann_violins.png"
    done = snakemake(config(Path("molecules.csv"), study), "--dry-run", "--keep-going", wanted)
    assert done.returncode == 0, done.stderr
    counts = dict(line.split() for line in (done.stdout + done.stderr).splitlines() if len(line.split()) == 2)
    assert counts["metropolis"] == "18"
    assert counts["repeated_step"] == "19"  # fourteen, and five controls
    assert counts["repeated_step_energies"] == "14"


def test_which_molecules_are_saturated_chains(tmp_path: Path) -> None:
    wanted = {"CCOCCO": True, "CC=O": False, "C1CC1": False, "CC#N": False, "[NH3+]CC([O-])C": False}
    wanted["CCCCCCCCC"] = False  # more than 15 branches
    file = tmp_path / "molecules.smi"
    file.write_text("".join(f"{smiles} {smiles}\n" for smiles in wanted))
    molecules = read_molecules(file)
    assert {m.id: is_flexible(m.smiles) for m in molecules} == wanted
    rows = [
        Record(m.id, m.numbers, np.zeros((len(m.numbers), 3)), m.smiles, conformer=c, start="rdkit")
        for m in molecules
        for c in (0, 1)
    ]
    write_shard(tmp_path / "in.extxyz", rows)
    assert flexible_molecules([tmp_path / "in.extxyz"] * 2, tmp_path / "out.extxyz", 5) == 1
    assert [row.id for row in read_shard(tmp_path / "out.extxyz")] == ["CCOCCO"]
    write_shard(tmp_path / "none.extxyz", rows[2:])
    with pytest.raises(UserError, match="saturated chain"):
        flexible_molecules([tmp_path / "none.extxyz"], tmp_path / "out.extxyz", 5)
