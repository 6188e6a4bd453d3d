"""A denoiser for another level: a base and a few of the level's minima become a model folder.

The difference between two levels is local and small. A network that knows the molecules of one learns another
from some dozen minima. A first training decides, on molecules set aside by graph, how long it should last,
whether the result is better than the base, and how large a residual may be. A second one then learns from all
pairs for as long.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from prerelax.datasets.graph_split import held_out
from prerelax.datasets.structures import Structures
from prerelax.denoisers.checkpoint import CONFIG, WEIGHTS, LoadedModel, load_model, save_model
from prerelax.denoisers.choosing import charges_known
from prerelax.denoisers.model_config import Knows, ModelConfig
from prerelax.denoisers.model_folders import not_adaptable
from prerelax.diffusion.confidence import LIMIT_MEDIANS, limit_from, residuals_of
from prerelax.diffusion.edm import few_call_steps
from prerelax.diffusion.energy_left import energy_calibration
from prerelax.diffusion.evaluation import Comparison, compare
from prerelax.diffusion.one_more_call import changes_by_one_more_call
from prerelax.diffusion.options import SamplerOptions
from prerelax.diffusion.samplers import SamplerInput, sample
from prerelax.diffusion.staged import inputs_of
from prerelax.errors import UserError
from prerelax.networks.staged import StagedNetwork
from prerelax.records.atomic_write import make_writable_folder
from prerelax.records.settings import sha256_of_files
from prerelax.training.fine_tuning import fit, network_of
from prerelax.training.new_elements import begin_as_mean, fit_embeddings
from prerelax.training.pairs import Pairs

FEWEST_MOLECULES = 10
SET_ASIDE = 0.2
"""Of the pairs, whole graphs, but not fewer than FEWEST_SET_ASIDE nor more than MOST_SET_ASIDE."""
FEWEST_SET_ASIDE, MOST_SET_ASIDE = 4, 200
FEWEST_CALIBRATED = 8
"""Molecules set aside without which no limit of the confidence is set."""


class Adaptation(TypedDict):
    """What came of it, as `prerelax adapt --json` prints it and the model's config keeps it. Errors are mean
    absolute ones of bonds and 1-3 distances on the molecules set aside, in Å."""

    base: str
    base_sha256: str
    level: str | None
    settings_sha256: str | None
    n_pairs: int
    n_molecules: int
    """molecular graphs among the pairs"""
    n_gradients: int | None
    """at the level, that the pairs took; None where they do not say"""
    n_left_out: int
    n_set_aside: int
    """pairs that the errors are of; only then were they learned from too"""
    bond_mae_ang: float
    angle_mae_ang: float
    bond_mae_ang_base: float
    angle_mae_ang_base: float
    bond_mae_ang_start: float
    angle_mae_ang_start: float
    base_kept: bool
    """the base is better on the molecules set aside: the weights are its own"""
    steps: int
    minutes: float
    core_minutes: float
    """of all its threads"""


def base_model(base: str | Path, out: Path) -> LoadedModel:
    """The base, once it is sure that it can be adapted and written to `out`: before any pair is read.

    Raises UserError for a base that is no relaxer, and where `out` holds a model of something else or cannot
    be written.
    """
    model = load_model(base)
    if objection := not_adaptable(model.name, model.config):
        raise UserError(objection)
    if (out / CONFIG).exists() and "adapted" not in (load_model(out).config.get("training") or {}):
        raise UserError(f"{out} is a model that was not adapted; name another folder to write")
    make_writable_folder(out)
    return model


def adapt(base: str | Path, pairs: Pairs, out: Path, max_minutes: float | None = None) -> Adaptation:
    """Write the model folder `out`: the base after learning from the pairs.

    Where the base is better on the molecules set aside, its weights are written instead. `max_minutes` ends
    each training earlier than its steps, the learning rate annealed all the same. Raises UserError for too
    few molecules, and as `base_model` does.
    """
    began, began_core = time.monotonic(), time.process_time()
    model = base_model(base, out)
    given = in_stages(model, pairs.structures)
    training, aside = _split(pairs.structures)
    assert isinstance(given.network, StagedNetwork)
    new = sorted(set(given.elements) - set(model.elements))
    each_minutes = None if max_minutes is None else max_minutes / (3.0 if new else 2.0)
    fit_embeddings(given.network, new, model.elements, training, given.edm_schedule, each_minutes)
    starts, before = _compared(aside, _starts(aside)), _errors(given, aside)
    best = fit(given, training, each_minutes, aside)
    fitted = replace(given, network=network_of(given.config, best.state))
    after = _errors(fitted, aside)
    base_kept = _score(before) <= _score(after)
    tried, errors = (given, before) if base_kept else (fitted, after)
    whole = best if base_kept else fit(given, pairs.structures, each_minutes, until=best.used)
    assert model.folder is not None
    outcome: Adaptation = {
        "base": model.name,
        "base_sha256": sha256_of_files(model.folder / WEIGHTS, model.folder / CONFIG),
        "level": pairs.level,
        "settings_sha256": pairs.settings_sha256,
        "n_pairs": len(pairs.structures),
        "n_molecules": len(np.unique(_graphs(pairs.structures))),
        "n_gradients": pairs.n_gradients,
        "n_left_out": pairs.n_left_out,
        "n_set_aside": len(aside),
        "bond_mae_ang": errors.bond_mae_ang,
        "angle_mae_ang": errors.angle_mae_ang,
        "bond_mae_ang_base": before.bond_mae_ang,
        "angle_mae_ang_base": before.angle_mae_ang,
        "bond_mae_ang_start": starts.bond_mae_ang,
        "angle_mae_ang_start": starts.angle_mae_ang,
        "base_kept": base_kept,
        "steps": best.steps + (0 if base_kept else whole.steps),
        "minutes": round((time.monotonic() - began) / 60.0, 2),
        "core_minutes": round((time.process_time() - began_core) / 60.0, 2),
    }
    knows = Knows(
        charges=sorted(charges_known(str(base))),
        given="mmff94",
        max_atoms=int(pairs.structures.n_atoms.max()),
        bond_mae_ang=round(errors.bond_mae_ang, 4),
    )
    if pairs.level is not None:
        knows["level"] = pairs.level
    n_learned = len(training if base_kept else pairs.structures)
    record: Mapping[str, object] = {"adapted": outcome, "n_molecules": n_learned}
    medians = max(LIMIT_MEDIANS, _score(before) / _score(errors))
    config = {**given.config, **_confidence(tried, aside, medians), "knows": knows, "training": record}
    weights = given.network.state_dict() if base_kept else whole.state
    save_model(out, weights, config, card=card(out.name, outcome))
    return outcome


def summary(out: Path, found: Adaptation) -> str:
    """The outcome in a few lines, for people."""
    lines = [
        f"{found['n_pairs']} pairs of {found['n_molecules']} molecules, {found['n_left_out']} rows left out; "
        f"level: {found['level'] or 'not recorded'}"
    ]
    for name, of in (("bonds", "bond"), ("1-3 distances", "angle")):
        start, base, end = (found[f"{of}_mae_ang{which}"] for which in ("_start", "_base", ""))  # type: ignore[literal-required]
        lines.append(f"{name}, MAE / Å: start {start:.4f}, {found['base']} {base:.4f}, {out.name} {end:.4f}")
    lines[1] = f"on {found['n_set_aside']} pairs set aside by molecule:\n{lines[1]}"
    if found["base_kept"]:
        lines.append(f"{found['base']} is better on them: its weights are kept; more pairs may help")
    return "\n".join([*lines, f"{out}: {found['steps']} steps, {found['minutes']:.1f} minutes"])


def card(name: str, found: Adaptation) -> str:
    """The model's card: what it was made of, and errors before and after."""
    level = found["level"] or "a level that the pairs do not name"
    verdict = (
        "On the molecules set aside the base is better than what was learned: the weights are the base's. "
        "More pairs may help."
        if found["base_kept"]
        else "Use it for molecules like those of the pairs, at their level."
    )
    rows = {"start": "_start", f"`{found['base']}`": "_base", f"**{name}**": ""}
    table = "\n".join(
        f"| {row} | {found[f'bond_mae_ang{of}']:.4f} | {found[f'angle_mae_ang{of}']:.4f} |"  # type: ignore[literal-required]
        for row, of in rows.items()
    )
    gradients = found["n_gradients"]
    price = "" if gradients is None else f"The pairs took {gradients} gradients at the level. "
    return f"""# {name}

`{found["base"]}` adapted to **{level}** by `prerelax adapt`, from {found["n_pairs"]} pairs of
{found["n_molecules"]} molecules ({found["n_left_out"]} rows were no pairs).
{price}{verdict}

Mean absolute errors on {found["n_set_aside"]} pairs set aside by molecule, before these were learned from
too. They decided how long the training lasted and whether the base is kept:

| geometry | bonds (Å) | 1-3 distances (Å) |
| --- | --- | --- |
{table}

{found["steps"]} steps, {found["minutes"]:.1f} minutes. Digest of the settings behind the minima:
`{found["settings_sha256"] or "not recorded"}`; of the base's files: `{found["base_sha256"]}`.
"""


def in_stages(base: LoadedModel, structures: Structures) -> LoadedModel:
    """The base as a model in stages, which knows the elements of the pairs too."""
    network = base.network
    new = sorted(set(structures.numbers.tolist()) - set(base.elements))
    if isinstance(network, StagedNetwork):
        stages, steps, stage = list(network.stages), network.steps, base.config["network"]["stage"]
    else:
        steps = tuple(few_call_steps(base.sampler_defaults["steps"], base.sampler_defaults["calls"]))
        stages, stage = [network] * len(steps), base.config["network"]
    elements = sorted({*base.elements, *new})
    assert isinstance(stage, dict)
    config: ModelConfig = {
        "network": {"name": "staged", "stage": {**stage, "elements": elements}, "steps": list(steps)},
        "schedule": base.config.get("schedule") or {},
        "sampler": {"name": "few", "steps": steps[0], "calls": len(steps)},
    }
    weights = {f"stages.{k}.{n}": t for k, each in enumerate(stages) for n, t in each.state_dict().items()}
    made = network_of(config, weights)
    begin_as_mean(made, new, sorted(base.elements))
    return replace(base, network=made, elements=tuple(elements), config=config)


def _split(pairs: Structures) -> tuple[Structures, Structures]:
    """Pairs to learn from, and those set aside by graph. Raises UserError for too few molecules."""
    graphs = _graphs(pairs)
    n_molecules = len(np.unique(graphs))
    if n_molecules < FEWEST_MOLECULES:
        raise UserError(
            f"{len(pairs)} pairs of {n_molecules} molecules are too few to learn a level from; relax at "
            f"least {FEWEST_MOLECULES} molecules, better 50"
        )
    wanted = min(max(round(SET_ASIDE * len(pairs)), FEWEST_SET_ASIDE), MOST_SET_ASIDE)
    aside = held_out(graphs, wanted, seed=0)
    return pairs.select(np.flatnonzero(~aside)), pairs.select(np.flatnonzero(aside))


def _graphs(structures: Structures) -> NDArray[np.int64]:
    assert structures.graphs is not None
    return structures.graphs


def _starts(structures: Structures) -> list[NDArray[np.float64]]:
    assert structures.positions_start is not None
    ends = np.cumsum(structures.n_atoms)[:-1]
    return np.split(structures.positions_start.astype(np.float64), ends)


def _errors(model: LoadedModel, structures: Structures) -> Comparison:
    """Of what the model makes of the starts."""
    return _compared(structures, [np.asarray(each.positions, float) for each in _denoised(model, structures)])


def _denoised(model: LoadedModel, structures: Structures) -> list[SamplerInput]:
    """The structures with what the model makes of their starts."""
    given = inputs_of(structures)
    found = sample(model, given, SamplerOptions())
    return [replace(each, positions=result.positions) for each, result in zip(given, found, strict=True)]


def _confidence(model: LoadedModel, aside: Structures, medians: float) -> ModelConfig:
    """The part `confidence` of the config, calibrated on molecules that the model did not learn from.

    Errors are in proportion to residuals: `medians` of them where they are as large as the base's, which is
    about as good as what a fallback makes.
    """
    if len(aside) < FEWEST_CALIBRATED:
        return {}
    ends = _denoised(model, aside)
    changes = changes_by_one_more_call(model, ends)
    part = limit_from(residuals_of(changes), [len(each.numbers) for each in ends], medians)
    return {"confidence": part | energy_calibration(model, ends, _minima(aside), changes)}


def _score(errors: Comparison) -> float:
    """What is compared, Å: 1-3 distances err two to three times as much as bonds."""
    return errors.bond_mae_ang + 0.5 * errors.angle_mae_ang


def _compared(structures: Structures, geometries: list[NDArray[np.float64]]) -> Comparison:
    return compare([numbers for _, numbers, _ in structures], _minima(structures), geometries)


def _minima(structures: Structures) -> list[NDArray[np.float64]]:
    return np.split(structures.positions.astype(np.float64), np.cumsum(structures.n_atoms)[:-1])
