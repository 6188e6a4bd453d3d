"""Shards that were emptied, changed, or made with another model or other settings are made again."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from prerelax.records.shard import read_shard

MOLECULES = "id,smiles\nmethanol,CO\nethane,CC\nwater,O\nammonia,N\n"


def config(**target: Any) -> dict[str, Any]:
    return {
        "campaign": "c",
        "molecules": "molecules.csv",
        "shard_size": 2,
        "starts": {
            "mmff94": {"kind": "forcefield"},
            "edm": {"kind": "diffuse", "model": "model", "steps": 5, "fallback": "none"},
        },
        "targets": {"gfn1": {"engine": "tblite", "method": "GFN1-xTB", **target}},
    }


@pytest.mark.slow
def test_what_cannot_stand_is_made_again(tmp_path: Path, snakemake: Any, repository: Path) -> None:
    (tmp_path / "molecules.csv").write_text(MOLECULES)
    shutil.copytree(repository / "models/edm-qm9-small", tmp_path / "model")
    first = snakemake(config())
    assert first.returncode == 0, first.stderr
    results = tmp_path / "results/c"
    before = pd.read_csv(results / "comparison.csv")
    assert len(before) == 8

    start = results / "starts/mmff94/0000.extxyz"
    start.write_bytes(b"")
    again = snakemake(config())
    assert again.returncode == 0, again.stderr
    assert f"{start.relative_to(tmp_path)}: not a whole shard (0 bytes" in again.stderr
    assert len(read_shard(start)) == 2
    assert pd.read_csv(results / "comparison.csv")["id"].tolist() == before["id"].tolist()
    assert "Nothing to be done" in snakemake(config()).stderr

    # A changed digit does not show in a file's size: its reader refuses it, and the next run makes it again.
    start.write_bytes(start.read_bytes().replace(b"0.", b"1.", 1))
    refused = snakemake(config())
    assert refused.returncode == 1 and "changed since it was written" in refused.stderr
    assert snakemake(config()).returncode == 0
    assert len(read_shard(start)) == 2

    # Another model in the folder of the first, and Snakemake's own notes lost.
    model = tmp_path / "model/config.yaml"
    said = yaml.safe_load(model.read_text())
    said.setdefault("sampler", {})["steps"] = 7
    model.write_text(yaml.safe_dump(said))
    (tmp_path / "model/SHA256SUMS").unlink()
    shutil.rmtree(tmp_path / ".snakemake")
    planned = snakemake(config(fmax=0.001), "--dry-run")
    assert planned.stderr.count("made with another model") == 2, planned.stderr
    assert planned.stderr.count("made with fmax_ev_ang 0.03, not 0.001 (2 rows") == 4
    assert not list(results.rglob("moved-aside/*/0001.*")), "a dry run moves nothing"
    done = snakemake(config(fmax=0.001))
    assert done.returncode == 0, done.stderr
    assert len(list(results.rglob("moved-aside/*/0001.extxyz"))) == 3
    rows = [row for shard in results.glob("relaxed/gfn1/*/*.extxyz") for row in read_shard(shard)]
    assert len(rows) == 8 and all('"fmax_ev_ang": 0.001' in str(row.settings) for row in rows)
    assert len({row.start_settings for row in rows}) == 2
