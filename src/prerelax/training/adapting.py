"""A denoiser for another level: a base and a few of the level's minima become a model folder.

The difference between two levels is local and small. A network that knows the molecules of one learns another
from some dozen minima, all its stages together, by the loss `staged-refinement`. How long is decided on
molecules set aside by graph, and so is whether the result is better than the base.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from torch import Tensor

from prerelax.datasets.graph_split import held_out
from prerelax.datasets.structures import Structures
from prerelax.denoisers.checkpoint import CONFIG, WEIGHTS, LoadedModel, load_model, save_model
from prerelax.denoisers.choosing import charges_known
from prerelax.denoisers.model_config import Knows, ModelConfig
from prerelax.denoisers.schedule import NoiseSchedule
from prerelax.diffusion.edm import few_call_steps
from prerelax.diffusion.evaluation import Comparison, compare
from prerelax.diffusion.options import SamplerOptions
from prerelax.diffusion.samplers import sample
from prerelax.diffusion.staged import inputs_of
from prerelax.errors import UserError
from prerelax.networks import build_network
from prerelax.networks.morered import NoiseNetwork
from prerelax.networks.staged import StagedNetwork
from prerelax.records.settings import sha256_of_files
from prerelax.training.beginning import introduce
from prerelax.training.callbacks import Budget, Continuation, ExponentialAverage
from prerelax.training.config import OptimizationConfig, StagedLoss, StagedOptions
from prerelax.training.data import BatchStream, MixedStream
from prerelax.training.module import DenoiserModule
from prerelax.training.pairs import Pairs

FEWEST_MOLECULES = 10
SET_ASIDE = 0.2
"""Of the pairs, whole graphs, but not fewer than FEWEST_SET_ASIDE nor more than MOST_SET_ASIDE."""
FEWEST_SET_ASIDE, MOST_SET_ASIDE = 4, 200
BATCH_SIZE = 8
FIRST_STEPS, STEPS_PER_PAIR = 150, 4
VALIDATIONS = 20
PATIENCE = 6
"""Validations without a better one after which the training ends."""
LEARNING_RATE = 1e-3


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
    """pairs that were never trained on"""
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


def adapt(base: str | Path, pairs: Pairs, out: Path, max_minutes: float | None = None) -> Adaptation:
    """Write the model folder `out`: the base after learning from the pairs.

    Where the base is better on the molecules set aside, its weights are written instead. `max_minutes` ends a
    training earlier than its steps, the learning rate annealed all the same. Raises UserError for too few
    molecules, for a base that is no relaxer, and where `out` holds a model of something else.
    """
    began = time.monotonic()
    model = load_model(base)
    given = _in_stages(model, pairs.structures)
    training, aside = _split(pairs.structures)
    if (out / CONFIG).exists() and "adapted" not in (load_model(out).config.get("training") or {}):
        raise UserError(f"{out} is a model that was not adapted; name another folder to write")
    starts, before = _compared(aside, _starts(aside)), _errors(given, aside)
    best = _fit(given, training, aside, max_minutes)
    fitted = replace(given, network=_made(given.config, best.state))
    after = _errors(fitted, aside)
    base_kept = _score(before) <= _score(after)
    chosen, errors = (given, before) if base_kept else (fitted, after)
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
        "steps": best.steps,
        "minutes": round((time.monotonic() - began) / 60.0, 2),
    }
    knows = Knows(
        charges=sorted(charges_known(str(base))),
        given="mmff94",
        max_atoms=int(pairs.structures.n_atoms.max()),
        bond_mae_ang=round(errors.bond_mae_ang, 4),
    )
    if pairs.level is not None:
        knows["level"] = pairs.level
    record: Mapping[str, object] = {"adapted": outcome, "n_molecules": len(training)}
    config = {**given.config, "knows": knows, "training": record}
    save_model(out, chosen.network.state_dict(), config, card=card(out.name, outcome))
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

Mean absolute errors on {found["n_set_aside"]} pairs set aside by molecule. They decided when the training
ended and whether the base is kept, so errors of other molecules may be a little larger:

| geometry | bonds (Å) | 1-3 distances (Å) |
| --- | --- | --- |
{table}

{found["steps"]} steps, {found["minutes"]:.1f} minutes. Digest of the settings behind the minima:
`{found["settings_sha256"] or "not recorded"}`; of the base's files: `{found["base_sha256"]}`.
"""


def _in_stages(base: LoadedModel, structures: Structures) -> LoadedModel:
    """The base as a model in stages, which knows the elements of the pairs too.

    Raises UserError for a base that is no relaxer.
    """
    network = base.network
    if not isinstance(base.schedule, NoiseSchedule) or not isinstance(network, NoiseNetwork | StagedNetwork):
        raise UserError(
            f"{base.name} cannot be adapted: a base is a relaxer, e.g. relaxer-organic (`prerelax models "
            "list`), not a denoiser trained on minima alone"
        )
    if not network.uses_bond_graph:
        raise UserError(f"{base.name} cannot be adapted: its network does not read the bond graph")
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
    made = _made(config, weights)
    introduce(made, new, sorted(base.elements))
    return replace(base, network=made, elements=tuple(elements), config=config)


def _made(config: ModelConfig, weights: Mapping[str, Tensor]) -> StagedNetwork:
    """The network in stages of a config, with these weights."""
    network = build_network(config["network"])
    assert isinstance(network, StagedNetwork)
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


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


@dataclass
class _Best:
    """The averaged weights that were best on the molecules set aside."""

    state: dict[str, Tensor]
    loss: float = float("inf")
    steps: int = 0


class _Watch(Callback):
    """Keeps the best weights, and ends a training that finds no better ones any more."""

    def __init__(self, average: ExponentialAverage, best: _Best) -> None:
        self.average, self.best, self.waited = average, best, 0

    def on_validation_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        loss = float(trainer.callback_metrics["validation/last"])
        self.waited += 1
        if loss < self.best.loss:
            self.best.state = self.average.averaged_state()
            self.best.loss, self.best.steps, self.waited = loss, trainer.global_step, 0
        trainer.should_stop = trainer.should_stop or self.waited >= PATIENCE


def _fit(model: LoadedModel, training: Structures, aside: Structures, max_minutes: float | None) -> _Best:
    """Train a copy of the model's network; the model itself stays as it is."""
    learning = _made(model.config, model.network.state_dict()).requires_grad_(True).train()
    n_steps = FIRST_STEPS + STEPS_PER_PAIR * len(training)
    optimization = OptimizationConfig(
        batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        amsgrad=False,
        warmup_steps=20,
        decay="cosine",
        ema_decay=0.99,
        max_steps=n_steps,
        max_hours=None if max_minutes is None else max_minutes / 60.0,
    )
    weights = [0.3] * (len(learning.stages) - 1) + [1.0]
    loss = StagedLoss(options=StagedOptions(weights=weights, error_scale=0.5))
    stream = MixedStream(training, BATCH_SIZE, optimization.seed)
    average = ExponentialAverage(optimization.ema_decay, warmup=True)
    best = _Best(dict(model.network.state_dict()))
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    trainer = L.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=-1,
        logger=False,
        val_check_interval=max(n_steps // VALIDATIONS, 1),
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Continuation(stream), average, Budget(optimization, len(stream)), _Watch(average, best)],
    )
    module = DenoiserModule(learning, model.edm_schedule, loss, optimization)
    validation = BatchStream(aside, 32, bond_graph=True, seed=0, shuffle=False)
    trainer.fit(module, train_dataloaders=stream, val_dataloaders=validation)
    return best


def _starts(structures: Structures) -> list[NDArray[np.float64]]:
    assert structures.positions_start is not None
    ends = np.cumsum(structures.n_atoms)[:-1]
    return np.split(structures.positions_start.astype(np.float64), ends)


def _errors(model: LoadedModel, structures: Structures) -> Comparison:
    """Of what the model makes of the starts."""
    found = sample(model, inputs_of(structures), SamplerOptions())
    return _compared(structures, [result.positions for result in found])


def _score(errors: Comparison) -> float:
    """What is compared, Å: 1-3 distances err two to three times as much as bonds."""
    return errors.bond_mae_ang + 0.5 * errors.angle_mae_ang


def _compared(structures: Structures, geometries: list[NDArray[np.float64]]) -> Comparison:
    minima = np.split(structures.positions.astype(np.float64), np.cumsum(structures.n_atoms)[:-1])
    return compare([numbers for _, numbers, _ in structures], minima, geometries)
