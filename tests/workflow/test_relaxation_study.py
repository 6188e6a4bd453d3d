"""MoreRed's relaxations through Snakemake: sets, trainings, inputs and figures, on a few small molecules."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

GFN1 = {"engine": "tblite", "method": "GFN1-xTB", "fmax": 0.005}
METHODS = {
    "mmff94": {"kind": "forcefield"},
    "mlff": {"kind": "relax", "engine": "mlff", "method": "mlff", "optimizer": "lbfgs", "max_steps": 20},
    "jt": {"kind": "diffuse", "model": "jt", "sampler": "jt", "max_iterations": 5, "fallback": "none"},
    "jt-seed1": {
        "kind": "diffuse",
        "model": "jt",
        "sampler": "jt",
        "max_iterations": 5,
        "fallback": "none",
        "seed": 1,
    },
}


def training(path: Path, network: str, set_name: str, **changes: Any) -> str:
    options = {"elements": [1, 6, 8], "n_features": 8, "n_interactions": 1}
    config: dict[str, Any] = {
        "network": {"name": network, **options},
        "data": {"set": set_name, "validation": 1},
        "optimization": {"max_steps": 6, "batch_size": 4, "gradient_clip": 0.5},
        "run": {"folder": "unused", "threads": 1, "device": "cpu", "log_every_steps": 1},
    }
    config["run"]["validate_minutes"] = 0.001
    for key, value in changes.items():
        config[key] = {**config.get(key, {}), **value}
    path.write_text(yaml.safe_dump(config))
    return str(path)


@pytest.mark.slow
def test_every_figure_is_made_and_bad_rows_are_reported(
    tmp_path: Path, repository: Path, snakemake: Any
) -> None:
    # A sulfur that no model knows, a row that is no molecule, and a molecule that may not be learned.
    (tmp_path / "test.csv").write_text("id,smiles\nmethanol,CO\nthiol,CS\nbad,not one\n")
    (tmp_path / "train.csv").write_text("id,smiles\na,C\nb,CC\nc,O\nd,C=O\ne,CO\nf,C#C\n")
    schedule = {"kind": "morered", "timesteps": 1000, "precision": 1.0e-5}
    jt = training(
        tmp_path / "jt.yaml",
        "morered-joint",
        "minima",
        loss={"name": "morered-joint"},
        schedule=schedule,
    )
    mlff = training(
        tmp_path / "mlff.yaml",
        "force-field",
        "labelled",
        loss={"name": "energy-forces"},
        data={"format": "qm7x"},
    )
    starts: dict[str, Any] = {
        "rdkit": {"kind": "embed"},
        "mmff94": {"kind": "forcefield"},
        "gfn1": {"kind": "relax", **GFN1, "check_minimum": "target", "kick": True},
        "displaced": {"kind": "displaced", "from": "gfn1", "set": "labelled", "displacements": 6},
        "diffused": {"kind": "diffused", "from": "gfn1", "steps": [40, 90]},
    }
    for name in ("displaced", "diffused"):
        starts |= {f"{m}-{name}": {**method, "from": name} for m, method in METHODS.items()}
    config = {
        "campaign": "tiny",
        "molecules": "test.csv",
        "baseline": "mmff94",
        "sets": {
            "minima": {"molecules": "train.csv", **GFN1},
            "labelled": {
                "molecules": "train.csv",
                **GFN1,
                "displacements": 3,
                "labels": {"engine": "tblite", "method": "GFN2-xTB"},
            },
            "again": {"from": "minima", "engine": "mlff", "method": "mlff", "max_steps": 3},
        },
        "denoisers": {"jt": jt, "mlff": mlff},
        "starts": starts,
        "targets": {},
        "studies": {
            "relaxation": {
                "reference": "gfn1",
                "inputs": ["displaced", "diffused"],
                "methods": ["mmff94", "mlff", "jt"],
                "predicting": ["jt"],
                "repeats": {"jt": ["jt-seed1"]},
                "comparisons": {"two": ["jt", "mlff"]},
                "drawn_by": "jt",
                "energies": {"engine": "pyscf", "method": "HF", "basis": "sto-3g", "molecules": 2},
                "curves": ["jt", "mlff"],
            }
        },
    }
    run = snakemake(config, "--keep-going", "figures", "results/tiny/sets/again/minima.extxyz")
    assert run.returncode == 0, run.stderr[-3000:]
    results = tmp_path / "results/tiny"
    names = ["ratios", "bins", "bins_two", "steps", "seconds", "sizes", "energies"]
    figures = [f"relaxation_{name}" for name in (*names, "drawings_displaced", "drawings_diffused")]
    for figure in (*figures, "training_curves"):
        for suffix in (".png", ".pdf", ".csv", "_numbers.csv"):
            assert (results / f"figures/{figure}{suffix}").stat().st_size, figure
    learned = pd.read_parquet(results / "sets/minima/molecules.parquet").set_index("id").status
    assert learned["e"] == "skipped" and learned.drop("e").eq("ok").all()
    table = pd.read_csv(results / "relaxation/methods.csv")
    assert len(table) == 3 * (3 + 2) * len(METHODS)
    status = table.set_index(["method", "id"]).status
    assert set(status["jt", "thiol"]) == {"unsupported_element"}
    assert set(status["mmff94", "thiol"]) == {"ok"} and set(status["mlff", "bad"]) == {"input_error"}
    ratios = pd.read_csv(results / "figures/relaxation_ratios_numbers.csv").set_index(["method", "input"])
    assert ratios.loc[("jt", "displaced"), ["n", "without_result_percent"]].tolist() == [6, 50]
    curve = pd.read_csv(results / "figures/training_curves.csv")
    assert set(curve.model) == {"jt", "mlff"} and (curve.current_loss > 0).all()
    energies = pd.read_csv(results / "figures/relaxation_energies.csv")
    assert (energies[energies.method == "input"].energy_kcal_mol > 0).all()
