"""The papers' full campaigns, end to end in small, from files of the published forms to figures.

Each takes minutes: so many rules and figures has it, at its own levels and with networks of the papers' size.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from published_files import SMALL, write_geom, write_qm7x, write_qm9

QM9 = ("dsgdb9nsd.xyz.tar.bz2", "uncharacterized.txt")
TINY = ("C", "N", "O", "S", "CC", "CN", "CO", "CS", "NN", "OO", "NO", "CCl")
"""Of QM7-X's elements; energies at PBE0/def2-TZVP take seconds."""
TINY_QM9 = ("C", "N", "O", "F", "CC", "CN", "CO", "CF", "NN", "OO", "NO", "OF", "NF", "FF")
"""Of QM9's elements; a relaxation at its level takes seconds."""


def run(folder: Path, repository: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for name in ("PRERELAX_DATA", "PRERELAX_SETS", "PRERELAX_TRAINING", "SNAKEMAKE_PROFILE"):
        environment.pop(name, None)
    program, *rest = words
    command = [str(Path(sys.executable).parent / program), *rest]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=3000
    )


def in_small(folder: Path, repository: Path, name: str, *words: str) -> "subprocess.CompletedProcess[str]":
    call = [
        "snakemake",
        "figures",
        "--keep-going",
        "--cores",
        "2",
        "--snakefile",
        str(repository / "Snakefile"),
    ]
    config = repository / f"config/campaigns/{name}.yaml"
    return run(folder, repository, *call, "--configfile", str(config), "--config", "limit=1", *words)


def figures(folder: Path, name: str) -> set[str]:
    return {path.stem for path in (folder / f"results/{name}-limit-1/figures").glob("*.png")}


@pytest.mark.slow
def test_edm_qm9(tmp_path: Path, repository: Path) -> None:
    write_qm9(tmp_path, TINY_QM9)
    made = run(tmp_path, repository, "prerelax", *f"data qm9 sets/qm9-edm {' '.join(QM9)}".split(), *LIMITED)
    assert made.returncode == 0, made.stderr
    done = in_small(tmp_path, repository, "edm-qm9")
    assert done.returncode == 0, done.stderr[-3000:]
    per_target = ("alignment", "outlier", "paths", "training_speedup")
    wanted = {f"{figure}_{target}" for figure in per_target for target in ("qm9", "gfn2")}
    boltzmann = {f"boltzmann_{kind}" for kind in ("violins", "temperature", "heat_capacity")}
    assert wanted | boltzmann | {"phases", "chain_end", "speedup"} <= figures(tmp_path, "edm-qm9")


LIMITED = ("--split", "edm", "--limit", "13")


@pytest.mark.slow
def test_edm_drugs(tmp_path: Path, repository: Path) -> None:
    pytest.importorskip("msgpack", reason="msgpack is an extra")
    write_geom(tmp_path / "drugs_crude.msgpack.tar.gz", SMALL)
    words = "data geom sets/geom.npz drugs_crude.msgpack.tar.gz --lowest 30 --test 20% --split conformer"
    made = run(tmp_path, repository, "prerelax", *words.split())
    assert made.returncode == 0, made.stderr
    done = in_small(tmp_path, repository, "edm-drugs")
    assert done.returncode == 0, done.stderr[-3000:]
    wanted = {f"{figure}_gfn2" for figure in ("alignment", "outlier", "paths", "training_speedup")}
    assert wanted <= figures(tmp_path, "edm-drugs")


@pytest.mark.slow
def test_morered_qm7x(tmp_path: Path, repository: Path) -> None:
    """All but the backbone SO3net where e3nn, an extra, is not installed."""
    pytest.importorskip("h5py", reason="h5py is an extra")
    for name, part in (("7000.xz", TINY[:6]), ("8000.xz", TINY[6:])):
        write_qm7x(tmp_path / name, part)
    (tmp_path / "DupMols.dat").write_text("")
    words = "data qm7x sets/qm7x 7000.xz 8000.xz --duplicates DupMols.dat --training 60%"
    made = run(tmp_path, repository, "prerelax", *words.split())
    assert made.returncode == 0, made.stderr
    in_small(tmp_path, repository, "morered-qm7x")
    kinds = ("bins", "bins_retrained", "drawings_diffused", "drawings_displaced", "energies", "ratios")
    wanted = {f"relaxation_{kind}" for kind in (*kinds, "seconds", "sizes", "steps")}
    assert wanted | {"training_curves"} <= figures(tmp_path, "morered-qm7x")


@pytest.mark.slow
def test_morered_qm9(tmp_path: Path, repository: Path) -> None:
    write_qm9(tmp_path)
    words = f"data qm9 sets/qm9-morered {' '.join(QM9)} --split morered --limit 30"
    made = run(tmp_path, repository, "prerelax", *words.split())
    assert made.returncode == 0, made.stderr
    done = in_small(tmp_path, repository, "morered-qm9")
    assert done.returncode == 0, done.stderr[-3000:]
    generated = {f"generated_qm9_{run_}" for run_ in ("ddpm", "adaptive", "fixed")}
    assert generated | {"generation", "generation_limits_qm9", "schedules", "shells"} <= figures(
        tmp_path, "morered-qm9"
    )


def test_a_dry_run_names_the_training_data_that_are_missing(tmp_path: Path, repository: Path) -> None:
    """What the campaign's molecules are taken from is there, what it trains on is not."""
    write_qm9(tmp_path, SMALL[:12])
    words = f"data qm9 sets/qm9-morered {' '.join(QM9)} --split morered --limit 11"
    assert run(tmp_path, repository, "prerelax", *words.split()).returncode == 0
    (tmp_path / "sets/qm9-morered/training.npz").unlink()
    done = in_small(tmp_path, repository, "morered-qm9", "--dry-run")
    assert done.returncode != 0
    assert "sets/qm9-morered/training.npz" in done.stdout + done.stderr
