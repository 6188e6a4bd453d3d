"""`prerelax run`: from a table of SMILES to minima as SDF, in one line; stopped, it goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from rdkit import Chem

pytestmark = pytest.mark.slow

TABLE = "smiles,batch\nCCO,1\nC[C@H](N)C(=O)O,2\nC[NH3+],3\nFc1ccsc1,4\nC(,5\nCC=CC(=O)O,6\n"
LINE = ["run", "mine.csv", "--target", "GFN2-xTB", "--cores", "2"]


def called(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    call = [sys.executable, "-m", "prerelax", *words]
    return subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.csv").write_text(TABLE)
    return tmp_path


def test_one_line_from_smiles_to_minima_that_ctrl_c_stops_and_the_same_line_ends(folder: Path) -> None:
    call = [sys.executable, "-m", "prerelax", *LINE]
    first = subprocess.Popen(call, cwd=folder, stdout=subprocess.PIPE, text=True, start_new_session=True)
    starts = folder / "results" / "mine-gfn2-xtb" / "starts" / "mmff94" / "0000.extxyz"
    ends = time.monotonic() + 300
    next_stage = folder / "results" / "mine-gfn2-xtb" / "logs" / "diffuse" / "auto" / "0000.log"
    while not next_stage.is_file() and time.monotonic() < ends:
        time.sleep(0.2)
    os.killpg(first.pid, signal.SIGINT)  # what a terminal does at Ctrl-C
    said, _ = first.communicate(timeout=200)
    assert first.returncode == 130
    assert "the same line goes on from there" in said
    made = starts.stat().st_mtime_ns

    second = called(folder, *LINE)
    assert second.returncode == 0, second.stdout + second.stderr
    assert starts.stat().st_mtime_ns == made, "what was finished is made again"
    assert "relaxed/gfn2-xtb/auto  6/6  1 failed" in second.stdout
    results = folder / "results" / "mine-gfn2-xtb"
    mols = list(Chem.SDMolSupplier(str(results / "minima.sdf"), removeHs=False))
    assert [mol.GetProp("_Name") for mol in mols] == ["mine-1", "mine-2", "mine-3", "mine-4", "mine-6"]
    assert [mol.GetProp("batch") for mol in mols] == ["1", "2", "3", "4", "6"]
    assert Chem.MolToSmiles(Chem.RemoveHs(mols[1])) == Chem.CanonSmiles("C[C@H](N)C(=O)O")
    assert mols[4].GetProp("isomer") == "C2=C3 E"
    table = pd.read_csv(results / "minima.csv", dtype=str, keep_default_na=False)
    assert table["status"].tolist() == ["ok", "ok", "ok", "ok", "input_error", "ok"]
    compared = pd.read_csv(results / "comparison.csv", dtype=str, keep_default_na=False)
    assert compared["input_smiles"].tolist()[:2] == ["CCO", "C[C@H](N)C(=O)O"]
    assert compared["batch"].tolist() == ["1", "2", "3", "4", "5", "6"]
    assert (results / "report.html").is_file()

    third = called(folder, *LINE)
    assert third.returncode == 0
    assert "all is relaxed already" in third.stdout


def test_a_killed_run_goes_on_and_two_at_once_are_refused(folder: Path) -> None:
    call = [sys.executable, "-m", "prerelax", *LINE]
    results = folder / "results" / "mine-gfn2-xtb"
    with (folder / "out").open("w") as out:
        first = subprocess.Popen(call, cwd=folder, stdout=out, stderr=out)
        ends = time.monotonic() + 300
        while not (results / "molecules" / "0000.extxyz").is_file() and time.monotonic() < ends:
            time.sleep(0.2)
        second = called(folder, *LINE)
        assert second.returncode == 2 and "this campaign runs already" in second.stderr
        first.terminate()
        assert first.wait(120) == 130
    third = called(folder, *LINE)
    assert third.returncode == 0 and (results / "minima.sdf").is_file()


def test_a_dry_run_writes_the_campaign_and_says_what_it_costs(folder: Path) -> None:
    done = called(folder, *LINE, "--dry-run")
    assert done.returncode == 0
    assert "6 molecules, about" in done.stdout and "core minutes" in done.stdout
    assert (folder / "mine-gfn2-xtb.yaml").is_file()
    assert not (folder / "results").exists()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["run", "none.csv", "--target", "GFN2-xTB"], "no such file"),
        (["run", "mine.csv", "--target", "B3LPY/def2-SVP"], "did you mean B3LYP?"),
        (["run", "mine.csv", "--target", "GFN2-xTB", "--profile", "slrm"], "no such folder"),
    ],
)
def test_wrong_lines_are_refused_in_a_sentence(folder: Path, line: list[str], says: str) -> None:
    done = called(folder, *line)
    assert done.returncode == 2
    assert says in done.stderr and done.stderr.count("\n") == 1


def test_a_campaign_makes_a_molecule_of_each_isomer(folder: Path) -> None:
    (folder / "mine.csv").write_text("id,smiles,batch\nacid,CC=CC(=O)O,7\nwater,O,8\n")
    (folder / "c.yaml").write_text(
        "campaign: c\nmolecules: mine.csv\nstereo: enumerate\nstarts: {mmff94: {kind: forcefield}}\n"
        "targets: {gfn2: {engine: tblite, method: GFN2-xTB}}\n"
    )
    snakefile = Path(__file__).parents[2] / "workflow" / "Snakefile"
    call = [sys.executable, "-m", "snakemake", "compare", "--snakefile", str(snakefile)]
    call += ["--configfile", "c.yaml", "--cores", "2"]
    subprocess.run(call, cwd=folder, check=True, capture_output=True)
    table = pd.read_csv(folder / "results" / "c" / "comparison.csv", dtype=str, keep_default_na=False)
    assert table["id"].tolist() == ["acid-E1", "acid-Z2", "water"]
    assert table["batch"].tolist() == ["7", "7", "8"]
    assert table["input_smiles"].tolist() == ["CC=CC(=O)O", "CC=CC(=O)O", "O"]
    energies = table["energy_ev"].astype(float)
    assert energies[0] < energies[1], "E is the lower one"
    for verb in ("status", "plan"):
        done = called(folder, verb, "c.yaml")
        assert done.returncode == 0 and "3 molecules in 1 shard" in done.stdout
    again = subprocess.run([*call, "--dry-run"], cwd=folder, check=True, capture_output=True, text=True)
    assert "Nothing to be done" in again.stdout + again.stderr
