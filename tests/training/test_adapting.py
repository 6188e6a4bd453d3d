"""A base that learns another level from a few pairs."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem
from typer.testing import CliRunner

from prerelax.cli import app
from prerelax.datasets.structures import Structures, collect, write_npz
from prerelax.denoisers.checkpoint import load_model
from prerelax.diffusion.evaluation import compare
from prerelax.diffusion.options import SamplerOptions
from prerelax.diffusion.samplers import sample
from prerelax.diffusion.staged import inputs_of
from prerelax.errors import UserError
from prerelax.set_making.pairs import read_pairs
from prerelax.training import fine_tuning, new_elements
from prerelax.training.adapting import adapt, base_model
from prerelax.training.pairs import Pairs

SETTINGS = json.dumps({"engine": "pyscf", "method": "PBE0", "basis": "def2-SVP"})


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings of some seconds."""
    monkeypatch.setattr(fine_tuning, "FIRST_STEPS", 60)
    monkeypatch.setattr(fine_tuning, "STEPS_PER_PAIR", 0)
    monkeypatch.setattr(new_elements, "STEPS", 30)
    monkeypatch.setattr("prerelax.training.adapting.FEWEST_CALIBRATED", 4)


@pytest.fixture(scope="module")
def molecules() -> Structures:
    """MMFF94 minima of small molecules."""
    ends = ["O", "N", "C=O", "C#N", "OC", "C(N)=O"]
    found = [
        AllChem.AddHs(Chem.MolFromSmiles(chain + end)) for chain in ("C", "CC", "C=C", "CO") for end in ends
    ]
    for each in found:
        AllChem.EmbedMolecule(each, randomSeed=1)
        AllChem.MMFFOptimizeMolecule(each)
    numbers = ([atom.GetAtomicNum() for atom in each.GetAtoms()] for each in found)
    geometries = (each.GetConformer().GetPositions() for each in found)
    return collect((k, np.array(z), x) for k, (z, x) in enumerate(zip(numbers, geometries, strict=True)))


@pytest.fixture
def write_pairs(tmp_path: Path, molecules: Structures) -> Callable[..., Path]:
    """Writes minima that are 2 % larger than their starts."""

    def write(n: int = 24, oxygen: int = 8) -> Path:
        part = molecules.select(np.arange(n))
        numbers = np.where(part.numbers == 8, oxygen, part.numbers).astype(np.uint8)
        path = tmp_path / "pairs.npz"
        minima = (1.02 * part.positions).astype(np.float32)
        pairs = replace(part, numbers=numbers, positions=minima, positions_start=part.positions)
        write_npz(path, pairs, [SETTINGS])
        return path

    return write


def bond_errors_ang(model: str, pairs: Pairs) -> float:
    """Of the denoised starts."""
    minima = np.split(pairs.structures.positions, np.cumsum(pairs.structures.n_atoms)[:-1])
    found = sample(load_model(model), inputs_of(pairs.structures), SamplerOptions())
    ends = [result.positions for result in found]
    return compare([z for _, z, _ in pairs.structures], minima, ends).bond_mae_ang


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("base", ["relaxer-drugs-small", "relaxer-qm9-small"])
def test_a_base_learns_from_its_pairs(base: str, write_pairs: Callable[..., Path], tmp_path: Path) -> None:
    pairs = read_pairs([write_pairs()])
    found = adapt(base, pairs, tmp_path / "mine")
    assert not found["base_kept"]
    assert found["bond_mae_ang"] < 0.5 * found["bond_mae_ang_base"]
    assert bond_errors_ang(str(tmp_path / "mine"), pairs) < 0.5 * bond_errors_ang(base, pairs)
    assert found["n_set_aside"] >= 4 and found["n_pairs"] == 24
    config = load_model(tmp_path / "mine").config
    assert (config["knows"]["max_atoms"], config["knows"]["charges"]) == (12, [0])
    assert config["knows"]["level"] == "PBE0/def2-SVP (pyscf)"
    assert config["training"]["adapted"] == found
    assert config["confidence"]["energy_factor"] > 0 and config["confidence"]["limit_ang"] > 0
    card = (tmp_path / "mine/card.md").read_text()
    assert "PBE0/def2-SVP (pyscf)" in card and f"{found['bond_mae_ang']:.4f}" in card


@pytest.mark.usefixtures("quick")
def test_elements_that_the_base_never_met_are_learned(
    write_pairs: Callable[..., Path], tmp_path: Path
) -> None:
    pairs = read_pairs([write_pairs(oxygen=34)])
    assert 34 in pairs.structures.numbers
    found = adapt("relaxer-drugs-small", pairs, tmp_path / "mine")
    assert 34 in load_model(tmp_path / "mine").elements
    assert found["bond_mae_ang"] < found["bond_mae_ang_base"]


def test_the_base_is_kept_where_it_is_better(
    write_pairs: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fine_tuning, "FIRST_STEPS", 20)
    monkeypatch.setattr(fine_tuning, "STEPS_PER_PAIR", 0)
    monkeypatch.setattr(fine_tuning, "LEARNING_RATE", 0.0)
    pairs = read_pairs([write_pairs(20)])
    found = adapt("relaxer-drugs-small", pairs, tmp_path / "mine")
    assert found["base_kept"] and found["bond_mae_ang"] == found["bond_mae_ang_base"]
    assert bond_errors_ang(str(tmp_path / "mine"), pairs) == bond_errors_ang("relaxer-drugs-small", pairs)
    assert "the base is better" in (tmp_path / "mine/card.md").read_text()


def test_what_cannot_be_adapted_is_one_sentence(write_pairs: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"9 pairs of \d molecules are too few"):
        adapt("relaxer-drugs-small", read_pairs([write_pairs(9)]), tmp_path / "mine")
    for base in ("morered-jt-qm9-small", "edm-qm9-small"):
        with pytest.raises(UserError, match=f"{base} cannot be adapted: a base is a relaxer"):
            adapt(base, read_pairs([write_pairs()]), tmp_path / "mine")
    refused = CliRunner().invoke(app, ["adapt", "edm-qm9-small", "nowhere.npz", str(tmp_path / "mine")])
    assert "edm-qm9-small cannot be adapted" in str(refused.exception), "the base is looked at first"
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file/mine"):
        with pytest.raises(UserError, match=f"{out} cannot be written"):
            base_model("relaxer-qm9-small", out)


@pytest.mark.usefixtures("quick")
def test_the_verb_prints_lines_or_json(
    write_pairs: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fine_tuning, "FIRST_STEPS", 20)
    (tmp_path / "mine").mkdir()  # a folder without a model is written
    call = ["adapt", "relaxer-drugs-small", str(write_pairs(20)), str(tmp_path / "mine")]
    said = CliRunner().invoke(app, call).stdout
    assert "20 pairs of" in said and "level: PBE0/def2-SVP (pyscf)" in said and "steps" in said
    again = CliRunner().invoke(app, [*call, "--max-minutes", "1", "--json"])
    found = json.loads(again.stdout)
    assert found["n_pairs"] == 20 and found["base"] == "relaxer-drugs-small"
