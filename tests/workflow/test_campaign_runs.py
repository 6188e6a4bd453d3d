"""The chain from SMILES to a report, on real molecules and with the shipped denoiser."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
import yte

from prerelax.records.shard import read_shard

MOLECULES = """id,smiles
000123,CO
broken,C1CC
T,C=O
salt,[Na+].[Cl-]
1e5,CNC
"""
CONFIG: dict[str, Any] = {
    "campaign": "tiny",
    "molecules": "molecules.csv",
    "shard_size": 5,
    "starts": {
        "mmff94": {"kind": "forcefield"},
        "gfn1": {"kind": "relax", "engine": "tblite", "method": "GFN1-xTB"},
        "edm-n20": {"kind": "diffuse", "model": "edm-qm9-small", "steps": 20},
    },
    "targets": {
        "gfn2": {"engine": "tblite", "method": "GFN2-xTB"},
        "hf": {
            "engine": "pyscf",
            "method": "HF",
            "basis": "sto-3g",
            "only": {"max_atoms": 4},
            "starts": ["mmff94"],
        },
    },
}


def test_a_campaign_from_smiles_to_report(tmp_path: Path, snakemake: Any) -> None:
    (tmp_path / "molecules.csv").write_text(MOLECULES)
    done = snakemake(CONFIG)
    assert done.returncode == 0, done.stderr

    table = pd.read_csv(tmp_path / "results/tiny/comparison.csv", dtype={"id": str}, keep_default_na=False)
    assert len(table) == 5 * (3 + 1)
    gfn2 = table[table.target == "gfn2"]
    assert list(gfn2[gfn2.start == "mmff94"].id) == ["000123", "broken", "T", "salt", "1e5"]
    assert list(gfn2[gfn2.start == "edm-n20"].status) == ["ok", "input_error", "ok", "input_error", "ok"]
    assert list(table[table.target == "hf"].status) == [
        "skipped",
        "input_error",
        "ok",
        "input_error",
        "skipped",
    ]

    relaxed = read_shard(tmp_path / "results/tiny/relaxed/gfn2/gfn1/0000.extxyz")[0]
    assert relaxed.n_gradients == (relaxed.n_steps or 0) + 1
    assert relaxed.n_gradients_cheap > 1
    assert set(relaxed.stages_s) == {"rdkit", "mmff94", "gfn1", "gfn2"}

    assert "Nothing to be done" in snakemake(CONFIG).stderr
    report = snakemake(CONFIG, "--report", "report.html")
    assert report.returncode == 0, report.stderr
    assert (tmp_path / "report.html").stat().st_size > 100_000


def test_a_misspelt_key_starts_nothing(tmp_path: Path, snakemake: Any) -> None:
    (tmp_path / "molecules.csv").write_text(MOLECULES)
    done = snakemake(CONFIG | {"basline": "mmff94"})
    assert done.returncode != 0
    assert "unknown key basline; did you mean baseline?" in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_campaign_says_what_differs_from_another(tmp_path: Path, snakemake: Any) -> None:
    (tmp_path / "molecules.csv").write_text(MOLECULES)
    (tmp_path / "config").mkdir()
    (tmp_path / "config/base.yaml").write_text(yaml.safe_dump(CONFIG))
    changed = {
        "extends": "config/base.yaml",
        "campaign": "changed",
        "starts": {"gfn1": None, "edm-n20": None, "n{steps}": {"kind": "diffuse", "steps": [20, 50]}},
        "targets": {"hf": None},
    }
    planned = snakemake(changed, "--dry-run", "--quiet", "rules")
    assert planned.returncode == 0, planned.stderr
    wanted = ("results/changed/starts/n50/0000.extxyz", "results/changed/campaign.yaml")
    done = snakemake(changed, "--notemp", *wanted)
    assert done.returncode == 0, done.stderr
    (tmp_path / "config/base.yaml").unlink()
    kept = yaml.safe_load((tmp_path / "results/changed/campaign.yaml").read_text())
    assert list(kept["starts"]) == ["mmff94", "n20", "n50"] and list(kept["targets"]) == ["gfn2"]
    missing = snakemake(changed)
    assert missing.returncode != 0
    assert "base.yaml" in missing.stderr and "cannot be read: No such file" in missing.stderr


def test_missing_molecules_are_one_sentence(snakemake: Any) -> None:
    done = snakemake(CONFIG)
    assert done.returncode != 0
    assert "molecules.csv" in done.stderr
    assert "Traceback" not in done.stderr


def test_slurm_profile_sizes_every_rule(tmp_path: Path, repository: Path, snakemake: Any) -> None:
    (tmp_path / "molecules.csv").write_text(MOLECULES)
    done = snakemake(CONFIG, "--dry-run", profile="slurm")
    assert done.returncode == 0, done.stderr
    profile = yte.process_yaml((repository / "slurm/config.yaml").read_text(), require_use_yte=True)
    folders = (repository / "workflow/rules", repository / "src/prerelax/studies")
    texts = [file.read_text() for folder in folders for file in folder.rglob("*.smk")]
    rules = re.findall(r"^\s*rule (\w+):", "\n".join(texts), re.MULTILINE)
    assert set(snakemake(CONFIG, "--list-rules").stdout.split()) - {"all"} <= set(rules)
    assert set(profile["set-threads"]) | set(profile["set-resources"]) <= set(rules)
    for rule in set(rules) - {"all"}:
        sizes = profile["default-resources"] | profile["set-resources"].get(rule, {})
        assert {"slurm_partition", "runtime", "mem_mb"} <= set(sizes)
        assert profile["set-threads"].get(rule, 1) <= profile["cores"]
    for rule in ("diffuse", "train", "trace", "generate", "repeated_step", "from_noise"):
        assert "gpu" in profile["set-resources"][rule]["gres"]


TRAINING: dict[str, Any] = {
    "network": {"name": "egnn", "elements": [1, 6, 7, 8], "n_layers": 1, "n_features": 16, "types": "fixed"},
    "data": {"validation": 50, "limit": 256},
    "loss": {"name": "noise", "max_step": 100},
    "optimization": {"batch_size": 32, "max_steps": 10},
    "run": {"folder": "unused", "threads": 1, "device": "cpu"},
}


@pytest.mark.slow
def test_a_campaign_trains_its_own_denoiser(tmp_path: Path, data_folder: Path, snakemake: Any) -> None:
    (tmp_path / "molecules.csv").write_text(MOLECULES)
    data = TRAINING["data"] | {"path": str(data_folder.resolve() / "qm9_train.npz")}
    (tmp_path / "training.yaml").write_text(yaml.safe_dump(TRAINING | {"data": data}))
    config = {
        "campaign": "own",
        "molecules": "molecules.csv",
        "denoisers": {"mine": "training.yaml"},
        "starts": {
            "mmff94": {"kind": "forcefield"},
            "mine": {"kind": "diffuse", "model": "mine", "sampler": "few"},
        },
    }
    done = snakemake(config)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results/own/training/mine/model/weights.safetensors").is_file()
    table = pd.read_csv(tmp_path / "results/own/comparison.csv", dtype={"id": str}, keep_default_na=False)
    assert list(table[table.start == "mine"].status) == ["ok", "input_error", "ok", "input_error", "ok"]


@pytest.mark.slow
def test_a_campaign_learns_from_its_molecules_in_rounds(tmp_path: Path, snakemake: Any) -> None:
    ends = ["O", "N", "C=O", "C#N", "OC", "C(N)=O", "C(C)=O", "C1CC1", "N(C)C", "C=C"]
    chains = ["C", "CC", "C=C", "CO", "CCC", "CN"]
    smiles = dict.fromkeys(chain + end for chain in chains for end in ends)
    rows = "".join(f"{k},{each}\n" for k, each in enumerate(smiles))
    (tmp_path / "molecules.csv").write_text(f"id,smiles\n{rows}")
    adapt = {"target": "gfn1", "on": "molecules", "rounds": [20, 40]}
    config = {
        "campaign": "rounds",
        "molecules": "molecules.csv",
        "shard_size": 30,
        "starts": {
            "mmff94": {"kind": "forcefield"},
            "mine": {"kind": "diffuse", "model": "relaxer-organic", "adapt": adapt},
        },
        "targets": {"gfn1": {"engine": "tblite", "method": "GFN1-xTB"}},
    }
    done = snakemake(config)
    assert done.returncode == 0, done.stderr
    results = tmp_path / "results/rounds"
    assert {path.name for path in (results / "adapted").iterdir()} == {"mine", "mine.20"}
    second = read_shard(results / "pilot/mine/40/relaxed/0000.extxyz")
    assert any(row.start == "mine" for row in second), "the second round begins at what the first one learned"
    table = pd.read_csv(results / "comparison.csv")
    mine = table[table.start == "mine"]
    learned = mine[mine.pair == "target's own level"]
    assert 36 <= len(learned) <= 40 and (learned.n_gradients_of_start > 0).all(), "none is relaxed twice"
    again = snakemake(config)
    assert "adapt" not in again.stdout + again.stderr, "nothing is learned twice"


@pytest.mark.slow
def test_a_campaign_learns_its_level_from_fragments(tmp_path: Path, snakemake: Any) -> None:
    drugs = [
        "CC(C)Cc1ccc(cc1)C(C)C(=O)Nc1ccc(cc1)N1CCOCC1",
        "COc1ccc(CCNC(=O)c2cccnc2)cc1OCCN1CCCC1",
        "CCOc1ccc(cc1)S(=O)(=O)N1CCN(C)CC1",
    ]
    rows = "".join(f"{k},{smiles}\n" for k, smiles in enumerate(drugs))
    (tmp_path / "molecules.csv").write_text(f"id,smiles\n{rows}")
    adapt = {"target": "gfn1", "count": 24}
    config = {
        "campaign": "learns",
        "molecules": "molecules.csv",
        "starts": {
            "mmff94": {"kind": "forcefield"},
            "mine": {"kind": "diffuse", "model": "relaxer-drugs-small", "adapt": adapt},
        },
        "targets": {"gfn1": {"engine": "tblite", "method": "GFN1-xTB"}},
    }
    done = snakemake(config)
    assert done.returncode == 0, done.stderr
    results = tmp_path / "results/learns"
    assert "GFN1-xTB (tblite)" in (results / "adapted/mine/card.md").read_text()
    fragments = (results / "pilot/mine/fragments.smi").read_text().splitlines()
    assert len(fragments) == 24
    pilot = [row for part in (0, 1) for row in read_shard(results / f"pilot/mine/relaxed/{part}.extxyz")]
    assert len(pilot) == 24 and sum(bool(row.converged) for row in pilot) >= 20
    table = pd.read_csv(results / "comparison.csv")
    mine = table[table.start == "mine"]
    assert len(mine) == 3 and set(mine.status) == {"ok"}
    again = snakemake(config)
    assert "adapt" not in again.stdout + again.stderr, "nothing is learned twice"
