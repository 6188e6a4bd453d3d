"""A campaign in small, `limit: N`: whether all of it runs, before a cluster is asked for days.

It has N molecules drawn at random, and results of its own. Its trainings see some molecules for an epoch
between the checkpoints that its starts ask for; its relaxations by networks of its own end after some steps.
Nothing is left out, and no level, network or number of denoising steps is another one. What studies make of
it is said with each of them (`Study.in_small`).
"""

from collections.abc import Mapping
from pathlib import Path

from prerelax.errors import UserError
from prerelax.molecules.input_files import count_rows
from prerelax.settings import expand_path

TRAINING_MOLECULES = 8
"""For each of the campaign's."""
MOST_STEPS = 20
"""Of samplers that end when they converge, and of optimizers on a force field of the campaign's own."""
COARSE_FMAX_EV_ANG = 10.0
"""Where a force field that hardly learned anything makes minima for another training."""

Config = dict[str, object]


def in_small(config: Mapping[str, object]) -> Config:
    """A config that is spelled out, cut to its `limit`; as it is where it has none.

    Raises UserError for a limit that is no number of molecules.
    """
    n = config.get("limit")
    if n is None:
        return dict(config)
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise UserError(f"limit must be a number of molecules, not {n!r}")
    drawn = config.get("draw")
    denoisers, starts = _mapping(config.get("denoisers")), _mapping(config.get("starts"))
    small = dict(config) | {
        "campaign": f"{config.get('campaign')}-limit-{n}",
        "draw": min(drawn, n) if isinstance(drawn, int) else n,
    }
    epochs = {name: _epochs(name, _mapping(each), starts) for name, each in denoisers.items()}
    if denoisers:
        small["denoisers"] = {
            name: _training(_mapping(each), n, len(epochs[name])) for name, each in denoisers.items()
        }
    if starts:
        small["starts"] = {name: _start(_mapping(each), denoisers, epochs) for name, each in starts.items()}
    if sets := _mapping(config.get("sets")):
        small["sets"] = {name: _set(_mapping(each), n, denoisers) for name, each in sets.items()}
    return small


def _epochs(name: str, training: Config, starts: Config) -> dict[object, int]:
    """The epochs of a denoiser that are kept or asked for, and those that stand for them: 1, 2, 3, …"""
    kept = _mapping(training.get("run")).get("keep_epochs")
    made_by_it = [each for each in map(_mapping, starts.values()) if each.get("model") == name]
    asked = [start.get("epoch") for start in made_by_it]
    numbers = {e for e in (*(kept if isinstance(kept, list) else ()), *asked) if isinstance(e, int | float)}
    return {epoch: place for place, epoch in enumerate(sorted(numbers), start=1)}


def _training(training: Config, n: int, n_epochs: int) -> Config:
    data, run, sampler = (_mapping(training.get(key)) for key in ("data", "run", "sampler"))
    held = _least(data.get("validation", n), n)
    data |= {"limit": TRAINING_MOLECULES * n, "validation": held}
    budget = {"max_epochs": max(n_epochs, 2), "max_steps": None, "max_hours": None}
    optimization = _mapping(training.get("optimization")) | budget
    if "keep_epochs" in run:
        run["keep_epochs"] = list(range(1, n_epochs + 1))
    small = training | {"data": data, "run": run, "optimization": optimization}
    return small | ({"sampler": _few(sampler, "max_iterations")} if sampler else {})


def _start(start: Config, denoisers: Config, epochs: Mapping[str, Mapping[object, int]]) -> Config:
    model = str(start.get("model"))
    if "epoch" in start and model in epochs:
        start["epoch"] = epochs[model].get(start["epoch"], start["epoch"])
    own = start.get("kind") == "relax" and start.get("method") in denoisers
    return _few(start, "max_iterations") | ({"max_steps": MOST_STEPS} if own else {})


def _set(made: Config, n: int, denoisers: Config) -> Config:
    molecules = made.get("molecules")
    if isinstance(molecules, str | Path) and expand_path(str(molecules)).is_file():
        every = made.get("every")
        there = count_rows(expand_path(str(molecules))) // (TRAINING_MOLECULES * n)
        made["every"] = max(there, every if isinstance(every, int) else 1, 1)
    if "displacements" in made:
        made["displacements"] = _least(made["displacements"], n)
    if made.get("method") in denoisers:
        made |= {"fmax": COARSE_FMAX_EV_ANG}
    return made


def _few(settings: Config, key: str) -> Config:
    return settings | ({key: _least(settings[key], MOST_STEPS)} if key in settings else {})


def _least(value: object, most: int) -> object:
    return min(value, most) if isinstance(value, int) else value


def _mapping(value: object) -> Config:
    return dict(value) if isinstance(value, Mapping) else {}
