"""The examples of the pages on own programs and own potentials run as they stand."""

import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from prerelax.campaign.calculators import calculators, check_consent
from prerelax.campaign.config import load_campaign
from prerelax.campaign.plan import make_plan, plan_text
from prerelax.campaign.schedule import Machines
from prerelax.campaign.stages import opened_campaign
from prerelax.campaign.starts import RelaxStart
from prerelax.engines import is_cheap
from prerelax.engines.honesty import report_trials
from prerelax.errors import UserError
from prerelax.records.shard import read_shard
from prerelax.relaxation.settings import Relaxation
from prerelax.relaxation.shard import Named, relax_shard
from prerelax.starts.embed import embed_shard
from prerelax.starts.forcefield import forcefield_shard

BLOCK = re.compile(r"^```(yaml|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def example(page: Path) -> tuple[str, str, list[str]]:
    """A page's first campaign, its site file, and its Python."""
    found = BLOCK.findall(page.read_text())
    texts = [text for language, text in found if language == "yaml"]
    campaign = next(text for text in texts if text.startswith("campaign:"))
    site = next(text for text in texts if "allow_calculators:" in text or "scratch:" in text)
    return campaign, site, [text for language, text in found if language == "python"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "molecules.csv").write_text("id,smiles\na,N\nb,O\n")
    (tmp_path / "site.yaml").write_text("{}")
    monkeypatch.setenv("PRERELAX_SITE", str(tmp_path / "site.yaml"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def written(page: Path, folder: Path) -> Path:
    campaign, site, code = example(page)
    (folder / "campaign.yaml").write_text(campaign)
    (folder / "site.yaml").write_text(site)
    for text in code:
        (folder / "mygroup.py").write_text(text)
    return folder / "campaign.yaml"


def test_the_potential_of_the_page_passes_its_trials(repository: Path, folder: Path) -> None:
    config = written(repository / "docs/guide/own-potential.md", folder)
    levels = calculators(load_campaign(yaml.safe_load(config.read_text())))
    assert list(levels) == ["targets.gfn2.cheap_level"]
    said: list[str] = []
    passed = report_trials("mine", levels["targets.gfn2.cheap_level"], said.append)
    assert passed and sum(text.startswith("ok ") for text in said) == 5, said


def test_consent_is_asked_for_where_code_would_run_and_nowhere_else(repository: Path, folder: Path) -> None:
    campaign, _ = opened_campaign(written(repository / "docs/guide/own-potential.md", folder))
    check_consent(campaign)
    (folder / "site.yaml").write_text("{}")
    assert "relaxed/gfn2" in plan_text(make_plan(campaign, folder), Machines(1, 0, 1), {})
    with pytest.raises(UserError, match="mygroup:potential is code of your own, which runs only with"):
        check_consent(campaign)


def test_the_program_of_the_page_is_a_dear_target(repository: Path, folder: Path) -> None:
    config = written(repository / "docs/guide/own-program.md", folder)
    (level,) = calculators(load_campaign(yaml.safe_load(config.read_text()))).values()
    assert str(level) == "B3LYP/6-31G* (nwchem)" and not is_cheap(level)


def test_the_keys_that_the_page_calls_defaults_are(repository: Path, folder: Path) -> None:
    said = yaml.safe_load(written(repository / "docs/guide/own-program.md", folder).read_text())
    whole = load_campaign(said).targets["b3lyp"]
    for key in ("optimizer", "cheap_level"):
        del said["targets"]["b3lyp"][key]
    short = load_campaign(said).targets["b3lyp"]
    assert short.chosen_optimizer == whole.optimizer == "two-level"
    assert short.chosen_cheap_level == whole.cheap_level == "gfn1"


def plain(part: Relaxation) -> Relaxation:
    """A start or a target as jobs get it."""
    return Relaxation(**{name: getattr(part, name) for name in Relaxation.model_fields})


def test_the_campaign_of_the_page_reaches_minima_of_its_program(
    repository: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The relaxations of one molecule from two of its starts; a stand-in speaks NWChem's input and output."""
    campaign, _ = opened_campaign(written(repository / "docs/guide/own-program.md", folder))
    stand_in = f"{sys.executable} {repository / 'tests/engines/stand_in.py'} nwchem none"
    (folder / "site.yaml").write_text(f"programs: {{nwchem: {{command: '{stand_in}'}}}}\nscratch: {folder}\n")
    monkeypatch.setattr("prerelax.relaxation.pool.check_honest", lambda *level: None)
    path = {name: folder / f"{name}.extxyz" for name in ("rdkit", *campaign.starts)}
    embed_shard(folder / "molecules.csv", path["rdkit"], slice(0, 1), 1, 42)
    forcefield_shard(path["rdkit"], path["mmff94"], "mmff94", None, "mmff94")
    gfn2, target = campaign.starts["gfn2"], campaign.targets["b3lyp"]
    assert isinstance(gfn2, RelaxStart) and gfn2.from_ == "mmff94"
    relax_shard(path["mmff94"], path["gfn2"], plain(gfn2), named=Named(start="gfn2"))
    for start in ("mmff94", "gfn2"):
        out = folder / f"{start}-b3lyp.extxyz"
        relax_shard(path[start], out, plain(target), named=Named(target="b3lyp"))
        (row,) = read_shard(out)
        assert (row.status, row.start, row.connectivity_unchanged) == ("ok", start, True), row.message
        assert row.n_gradients is not None and row.n_gradients < 12 < (row.n_gradients_cheap or 0)
        bonds = np.linalg.norm(row.positions[1:] - row.positions[0], axis=1)
        np.testing.assert_allclose(bonds, 0.71 + 0.31, atol=0.003)
        assert row.energy_ev == pytest.approx(0.0, abs=0.001)


def test_a_program_of_single_points_is_tried_too(folder: Path) -> None:
    big = {"engine": "ase", "calculator": "nwchem", "method": "HF", "basis": "3-21G", "of": "gfn2"}
    campaign = {
        "campaign": "x",
        "molecules": str(folder / "molecules.csv"),
        "targets": {"gfn2": {"engine": "tblite", "method": "GFN2-xTB"}},
        "single_points": {"big": big},
    }
    assert list(calculators(load_campaign(campaign))) == ["single_points.big"]


@pytest.mark.parametrize("name", ["own-program", "own-potential"])
def test_parts_of_campaigns_on_the_pages_are_valid(repository: Path, folder: Path, name: str) -> None:
    for language, text in BLOCK.findall((repository / f"docs/guide/{name}.md").read_text()):
        if language == "yaml" and text.startswith(("targets:", "starts:")):
            part = yaml.safe_load(text)
            load_campaign({"campaign": "x", "molecules": str(folder / "molecules.csv")} | part)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["own-program", "own-potential"])
def test_the_examples_run(repository: Path, folder: Path, name: str) -> None:
    if name == "own-program" and shutil.which("nwchem") is None:
        pytest.skip("the program nwchem is not installed")
    config = written(repository / f"docs/guide/{name}.md", folder)
    tried = subprocess.run(
        [sys.executable, "-m", "prerelax", "self-test", config.name],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert tried.returncode == 0, tried.stderr
    snakemake = [Path(sys.executable).with_name("snakemake"), "-s", repository / "Snakefile", "--cores", "2"]
    done = subprocess.run(
        [*snakemake, "--configfile", config.name], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    target = "b3lyp" if name == "own-program" else "gfn2"
    with next((folder / "results").glob("*/comparison.csv")).open() as table:
        rows = [(row["target"], row["status"]) for row in csv.DictReader(table)]
    assert rows == [(target, "ok")] * (6 if name == "own-program" else 4)
