"""The campaign as a module of somebody else's workflow."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import yaml

SNAKEFILE = """
module prerelax:
    snakefile:
        "{snakefile}"
    config:
        config["relaxations"]


use rule * from prerelax as prerelax_*


rule best_start:
    default_target: True
    input:
        "results/tiny/comparison.csv",
    output:
        "best.txt",
    shell:
        "head -n 2 {{input}} > {{output}}"
"""
CAMPAIGN = {
    "campaign": "tiny",
    "molecules": "molecules.csv",
    "shard_size": 2,
    "starts": {"mmff94": {"kind": "forcefield"}},
    "targets": {"gfn2": {"engine": "tblite", "method": "GFN2-xTB"}},
}


def test_a_campaign_runs_as_a_module(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "Snakefile").write_text(SNAKEFILE.format(snakefile=repository / "workflow/Snakefile"))
    (tmp_path / "molecules.csv").write_text("id,smiles\na,CO\nb,C=O\nc,CN\n")
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump({"relaxations": CAMPAIGN}))
    command = [Path(sys.executable).parent / "snakemake", "--configfile", "settings.yaml", "--cores", "2"]
    done = subprocess.run(list(map(str, command)), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "best.txt").read_text().startswith('"id",')
    table = pd.read_csv(tmp_path / "results/tiny/comparison.csv")
    assert list(table.status) == ["ok"] * 3
    # What a campaign keeps for its jobs and for later calls:
    assert yaml.safe_load((tmp_path / "results/tiny/campaign.yaml").read_text()) == CAMPAIGN
    shards = (tmp_path / "results/tiny/shards.csv").read_text().splitlines()
    assert [line.split(",")[:3] for line in shards[1:]] == [["0000", "0", "2"], ["0001", "2", "3"]]
