"""A campaign that grows, moves, is edited while it runs, or has a neighbour: only what is new is computed."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from prerelax.campaign.provenance import RUNNING, hand_to_jobs
from prerelax.cli import app
from prerelax.records.shard import read_shard

CONFIG: dict[str, Any] = {
    "campaign": "grows",
    "molecules": "molecules.csv",
    "shard_size": 2,
    "starts": {"mmff94": {"kind": "forcefield"}},
    "targets": {"gfn2": {"engine": "tblite", "method": "GFN2-xTB"}},
}
COMPARISON = "results/grows/comparison.csv"
TARGET = ["--printshellcmds", COMPARISON]
"""An option before it, for --configfile takes all that follow."""
MOLECULES = "id,smiles\na,CO\nb,C=O\nc,CN\n"


def jobs(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """Jobs by rule, as Snakemake says them before it begins."""
    lines = (done.stdout + done.stderr).splitlines()
    if not any(line.startswith("Job stats") for line in lines):
        return {}
    table = lines[lines.index("Job stats:") + 3 :]
    found = (line.split() for line in table[: next(i for i, x in enumerate(table) if not x.strip())])
    return {rule: int(n) for rule, n in found if rule not in ("total", "all")}


def test_what_is_planned_is_asked_for(
    tmp_path: Path, snakemake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "molecules.csv").write_text(MOLECULES)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(CONFIG))
    verb = ["plan", "c.yaml", "--minutes", "30", "--write"]
    planned = CliRunner().invoke(app, verb)
    assert planned.exit_code == 0, planned.output
    assert "3 molecules in 1 shard of 3" in planned.output
    done = snakemake(CONFIG, "--dry-run", profile="slurm")
    assert {"embed": 1, "forcefield": 1, "relax_xtb": 1, "compare": 1}.items() <= jobs(done).items()
    relaxation = done.stdout[done.stdout.index("rule relax_xtb") :].split("rule compare")[0]
    assert "runtime=5" in relaxation and "mem_mb=" in relaxation
    assert "slurm_partition=cpu" in relaxation  # the profile still says where


@pytest.mark.slow
def test_only_what_is_new_is_computed(tmp_path: Path, snakemake: Any) -> None:
    inp = tmp_path / "molecules.csv"
    inp.write_text(MOLECULES)
    first = snakemake(CONFIG, *TARGET)
    assert first.returncode == 0, first.stderr
    assert jobs(first) == {"begin": 1, "embed": 2, "forcefield": 2, "relax_xtb": 2, "compare": 1}
    assert jobs(snakemake(CONFIG, *TARGET)) == {}

    inp.write_text(MOLECULES + "d,CC\ne,O\nf,CF\n")
    added = snakemake(CONFIG, *TARGET)
    assert jobs(added) == {"begin": 1, "embed": 2, "forcefield": 2, "relax_xtb": 2, "compare": 1}
    shards = (tmp_path / "results/grows/shards.csv").read_text().splitlines()
    assert [line.split(",")[1:3] for line in shards[1:]] == [["0", "2"], ["2", "3"], ["3", "5"], ["5", "6"]]

    config = CONFIG | {"starts": CONFIG["starts"] | {"uff": {"kind": "forcefield", "method": "uff"}}}
    assert jobs(snakemake(config, *TARGET)) == {"begin": 1, "forcefield": 4, "relax_xtb": 4, "compare": 1}

    inp.write_text(inp.read_text().replace("c,CN", "c,CCl"))
    edited = snakemake(config, *TARGET)
    assert jobs(edited) == {"begin": 1, "embed": 1, "forcefield": 2, "relax_xtb": 2, "compare": 1}

    inp.write_text(MOLECULES)
    lost = snakemake(config, *TARGET)
    assert lost.returncode != 0
    assert "3 rows, but the campaign began with 6" in lost.stderr and "Traceback" not in lost.stderr

    rows = [read_shard(tmp_path / "results/grows" / stage / "0000.extxyz")[0] for stage in STAGES]
    for row, packages in zip(rows, PACKAGES, strict=True):
        assert row.settings is not None
        assert packages <= set(yaml.safe_load(row.settings)["versions"])
    kept = yaml.safe_load((tmp_path / "results/grows/campaign.yaml").read_text())
    assert set(kept["starts"]) == {"mmff94", "uff"}


STAGES = ["molecules", "starts/uff", "relaxed/gfn2/uff"]
PACKAGES = [{"prerelax", "rdkit"}, {"prerelax", "rdkit"}, {"prerelax", "tblite"}]


@pytest.mark.slow
def test_a_failure_is_tried_again_alone(
    tmp_path: Path, snakemake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "molecules.csv").write_text(MOLECULES)
    # Two steps converge nothing, and `not_converged` is as good a status as any to try again.
    config = CONFIG | {"targets": {"gfn2": CONFIG["targets"]["gfn2"] | {"max_steps": 2}}}
    assert snakemake(config, *TARGET).returncode == 0
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(app, ["retry", "campaign.yaml", "--status", "not_converged"])
    assert "relaxed/gfn2/mmff94: 3 molecules in 2 shards" in said.output
    assert jobs(snakemake(config, *TARGET)) == {"relax_xtb": 2, "compare": 1}
    log = (tmp_path / "results/grows/logs/relax_xtb/gfn2/mmff94/0000.log").read_text()
    assert "not_converged" in log and "in the journal already" not in log


@pytest.mark.slow
def test_results_that_were_moved_go_on(tmp_path: Path, snakemake: Any, repository: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    (tmp_path / "molecules.csv").write_text(MOLECULES)
    assert (
        snakemake(CONFIG, "--printshellcmds", "results/grows/relaxed/gfn2/mmff94/0000.extxyz").returncode == 0
    )
    begun = tmp_path / "results/grows/relaxed/gfn2/mmff94"
    (begun / "0000.extxyz").unlink()  # as if killed before the shard was written
    for name in ("results", "molecules.csv"):
        (tmp_path / name).rename(old / name)
    old.rename(new)
    done = snakemake(CONFIG, "--directory", str(new), COMPARISON)
    assert done.returncode == 0, done.stderr
    assert jobs(done) == {"begin": 1, "embed": 1, "forcefield": 1, "relax_xtb": 2, "compare": 1}
    log = (new / "results/grows/logs/relax_xtb/gfn2/mmff94/0000.log").read_text()
    assert "2 of 2 molecules are in the journal already" in log


@pytest.mark.slow
def test_two_campaigns_in_one_folder_run_at_once(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "molecules.csv").write_text(MOLECULES)
    running = []
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(CONFIG | {"campaign": name}))
        command = [Path(sys.executable).parent / "snakemake", "--snakefile", repository / "Snakefile"]
        command += ["--configfile", f"{name}.yaml", "--cores", "1", f"results/{name}/comparison.csv"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        running.append(subprocess.Popen(list(map(str, command)), cwd=tmp_path, **pipes))
    said = [each.communicate()[0] for each in running]
    assert [each.returncode for each in running] == [0, 0], said
    one, two = ((tmp_path / f"results/{name}/comparison.csv").read_text() for name in ("one", "two"))
    assert one.count("\n") == two.count("\n") == 4


@pytest.mark.slow
def test_a_job_of_a_running_campaign_keeps_its_config(
    tmp_path: Path, snakemake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "molecules.csv").write_text(MOLECULES)
    shard = "results/grows/relaxed/gfn2/mmff94/0000.extxyz"
    assert snakemake(CONFIG, "--printshellcmds", shard).returncode == 0
    (tmp_path / shard).unlink()
    edited = CONFIG | {"targets": {"gfn2": CONFIG["targets"]["gfn2"] | {"fmax": 0.5}}}
    # What a job on a cluster is: Snakemake again, for this one job, with what the first one handed on.
    monkeypatch.setenv(RUNNING, "{}")
    hand_to_jobs(CONFIG, 3)
    job = ["--mode", "remote", "--target-jobs", "relax_xtb:target=gfn2,start=mmff94,shard=0000"]
    done = snakemake(edited, *job, "--allowed-rules", "relax_xtb", "--nolock", "--force")
    assert done.returncode == 0, done.stderr
    settings = [yaml.safe_load(row.settings or "")["fmax_ev_ang"] for row in read_shard(tmp_path / shard)]
    assert settings == [0.03, 0.03]
