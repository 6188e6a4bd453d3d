"""The studies of the EDM paper through Snakemake, on a few small molecules."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

DENOISED: dict[str, Any] = {"kind": "diffuse", "sampler": "edm", "steps": 20, "fallback": "none"}
STARTS: dict[str, Any] = {
    "rdkit": {"kind": "embed"},
    "embedded": {"kind": "embed-again"},
    "mmff94": {"kind": "forcefield", "from": "embedded"},
    "edm-n20": DENOISED | {"model": "edm-qm9-small"},
    "epoch1": DENOISED | {"model": "run", "epoch": 1},
    "epoch8": DENOISED | {"model": "run", "epoch": 8},
}
TARGETS: dict[str, Any] = {
    "gfn2": {"engine": "tblite", "method": "GFN2-xTB"},
    "dft": {"engine": "psi4", "method": "HF", "basis": "STO-3G", "starts": ["mmff94", "edm-n20"]},
}
STUDIES: dict[str, Any] = {
    "paths": {
        "gfn2": {"starts": ["edm-n20"], "every": 7, "zero": "rdkit"},
        "dft": {"starts": ["edm-n20"]},
    },
    "alignment": {"gfn2": {"starts": ["epoch1", "epoch8"], "molecules": 1, "sums": [1, 10]}},
    "training": ["gfn2"],
    "outlier": {"gfn2": ["edm-n20"], "dft": ["edm-n20"]},
}


def few_molecules(data_folder: Path, path: Path) -> None:
    """The smallest three of the held-out set."""
    with np.load(data_folder / "qm9_small_test.npz") as data:
        n_atoms = data["n_atoms"]
        rows = np.argsort(n_atoms, kind="stable")[:3]
        ends = np.cumsum(n_atoms)
        atoms = np.concatenate([np.arange(ends[row] - n_atoms[row], ends[row]) for row in rows])
        parts = {name: data[name][atoms] for name in ("numbers", "positions")}
        np.savez(path, ids=data["ids"][rows], n_atoms=n_atoms[rows], **parts)


@pytest.mark.slow
def test_every_study_makes_its_figures(
    tmp_path: Path, data_folder: Path, repository: Path, snakemake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRERELAX_PSI4", str(tmp_path / "no-such-program"))
    few_molecules(data_folder, tmp_path / "few.npz")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/epoch-0001").symlink_to(repository / "models/edm-qm9-small")
    training = {
        "network": {
            "name": "egnn",
            "elements": [1, 6, 7, 8],
            "n_layers": 1,
            "n_features": 16,
            "radial_basis": 8,
        },
        "data": {"path": str(data_folder.resolve() / "qm9_train.npz"), "validation": 50, "limit": 256},
        "loss": {"name": "noise"},
        "optimization": {"batch_size": 32, "max_steps": 10},
        "run": {"folder": "unused", "threads": 1, "device": "cpu"},
    }
    (tmp_path / "training.yaml").write_text(yaml.safe_dump(training))
    generation = {
        "model": "generator",
        "sizes_like": "few.npz",
        "molecules": 3,
        "end": {"target": "gfn2", "molecules": 2, "every": 20},
    }
    config = {
        "campaign": "studies",
        "molecules": "few.npz",
        "denoisers": {"generator": "training.yaml"},
        "starts": STARTS,
        "targets": TARGETS,
        "studies": STUDIES | {"generation": generation},
    }
    done = snakemake(config, "--keep-going", "figures")
    assert done.returncode == 0, done.stderr
    figures = tmp_path / "results/studies/figures"
    for name in (
        "steps_vs_steps",
        "speedup",
        "paths_gfn2",
        "paths_dft",
        "alignment_gfn2",
        "training_speedup_gfn2",
        "outlier_gfn2",
        "outlier_dft",
        "phases",
        "chain_end",
    ):
        for kind in ("png", "pdf", "csv"):
            assert (figures / f"{name}.{kind}").stat().st_size > 0
    numbers = pd.read_csv(figures / "paths_gfn2_numbers.csv")
    assert set(numbers["zero"]) == {"own minimum", "data set's minimum"}
    assert (numbers["n"] == 3).all()
    assert set(pd.read_csv(figures / "paths_gfn2.csv")["call"]) == {0, 7, 14, 21}
    cosines = pd.read_csv(figures / "alignment_gfn2_numbers.csv")
    assert cosines["start"].unique().tolist() == ["epoch1"]
    assert (cosines["n"] == 1).all()
    speedup = pd.read_csv(figures / "training_speedup_gfn2.csv").set_index(["epoch", "subset"])
    assert speedup.loc[(1, "all"), "n_counted"] == 3
    assert speedup.loc[(8, "all"), "left_out"] == "skipped"
    phases = pd.read_csv(figures / "phases_numbers.csv").set_index("quantity")["ours"]
    assert phases["steps of the schedule"] == 1000
    assert phases["molecules"] + phases["chains that blew up"] == 3  # ten steps of training teach nothing
    log = (tmp_path / "results/studies/logs/diffuse/epoch8/0000.log").read_text()
    assert "Traceback" not in log
    rows = pd.read_csv(tmp_path / "results/studies/comparison.csv").groupby("target")
    ended = {"same", "deeper", "higher", "undecided"}
    assert rows.get_group("gfn2")["pair"].isin(ended).sum() >= 3
    assert set(rows.get_group("dft")["status"]) == {"resource_error"}
    assert rows.get_group("dft")["message"].str.contains("psi4 is not installed here").all()
    log = (tmp_path / "results/studies/logs/relax_dft/dft/mmff94/0000.log").read_text()
    assert "psi4 is not installed here" in log and "Traceback" not in log


def test_names_of_a_study_are_checked(tmp_path: Path, data_folder: Path, snakemake: Any) -> None:
    few_molecules(data_folder, tmp_path / "few.npz")
    starts = STARTS | {"falling-back": STARTS["edm-n20"] | {"fallback": "gfn2"}}
    config = {"campaign": "wrong", "molecules": "few.npz", "starts": starts}
    for studies, complaint in (
        ({"training": ["dft"]}, "studies.training: dft is not among the targets"),
        (
            {"paths": {"gfn2": {"starts": ["mmff94"]}}},
            "studies.paths.gfn2: mmff94 is not a start of the sampler edm",
        ),
        (
            {"paths": {"gfn2": {"starts": ["falling-back"]}}},
            "studies.paths.gfn2: falling-back needs `fallback: none`",
        ),
    ):
        done = snakemake(config | {"studies": studies}, "--keep-going", "figures")
        assert done.returncode != 0
        assert complaint in done.stderr
        assert "Traceback" not in done.stderr
