"""Elements that a network never met are learned without what is beyond all bounds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from prerelax.datasets.structures import Structures, collect
from prerelax.denoisers.checkpoint import LoadedModel
from prerelax.networks.batch import Batch
from prerelax.networks.staged import StagedNetwork
from prerelax.training.adapting import base_model, in_stages
from prerelax.training.data import MixedStream
from prerelax.training.new_elements import fit_embeddings, log_error

SMILES = "CCl ClC=C ClCCl CS CSC CI IC=C C[SiH3] C[SiH2]C CBr BrC=C CP CPC CF FCF"


@pytest.fixture
def pairs() -> Structures:
    """UFF's minima, and starts whose bonds are 2 % shorter."""
    found = []
    for row, smiles in enumerate(SMILES.split()):
        mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
        AllChem.EmbedMolecule(mol, randomSeed=1)
        AllChem.UFFOptimizeMolecule(mol)
        numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
        found.append((row, numbers, mol.GetConformer().GetPositions()))
    minima = collect(found)
    return replace(minima, positions_start=minima.positions * np.float32(0.98))


def test_seven_new_elements_are_learned(pairs: Structures) -> None:
    """From the mean of the known elements the third and fourth stage came to what is no number."""
    base = base_model("relaxer-qm9", Path("nowhere"))
    model = in_stages(base, pairs)
    assert isinstance(model.network, StagedNetwork)
    model.network.stages, model.network.steps = model.network.stages[2:4], model.network.steps[2:4]
    new = sorted(set(model.elements) - set(base.elements))
    assert new == [9, 14, 15, 16, 17, 35, 53]
    batch = next(iter(MixedStream(pairs, len(pairs), seed=0)))
    before = left(model, batch)
    fit_embeddings(model.network, new, base.elements, pairs, model.edm_schedule)
    assert max(before) > 20.0, "the mean is beyond all bounds"
    assert max(left(model, batch)) < 5.0


def test_without_time_an_element_stays_what_it_begins_with(pairs: Structures) -> None:
    model = in_stages(base_model("relaxer-qm9-small", Path("nowhere")), pairs)
    assert isinstance(model.network, StagedNetwork)
    known = [1, 6, 7, 8]
    weights = [stage.get_parameter("representation.embedding.weight") for stage in model.network.stages]
    begun = [weight.detach().clone() for weight in weights]
    fit_embeddings(model.network, [17], known, pairs, model.edm_schedule, max_minutes=1e-9)
    for weight, before in zip(weights, begun, strict=True):
        assert any(weight[17].equal(row) for row in before[[*known, 17]])


def left(model: LoadedModel, batch: Batch) -> list[float]:
    assert isinstance(model.network, StagedNetwork)
    stages = zip(model.network.stages, model.network.steps, strict=True)
    return [float(log_error(stage, step, model.edm_schedule, batch).detach()) for stage, step in stages]
