"""Finished shards that the campaign makes again: damaged ones, and those of other settings than the config's.

Looked at when Snakemake starts, one small read for each shard. Their files are moved aside before they are
made again, so that nothing computed is lost; what the journal knows at the new settings is not repeated.
"""

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from prerelax.campaign.config import Campaign
from prerelax.campaign.handing_on import is_known_before
from prerelax.campaign.layout import start_folder
from prerelax.campaign.learning import teaches_guide
from prerelax.campaign.sharding import Shard
from prerelax.campaign.stages import Stage, finished_shards, shard_path, stages
from prerelax.campaign.starts import (
    DiffusedStart,
    DiffuseStart,
    EmbedAgainStart,
    ForcefieldStart,
    SampleStart,
    Start,
)
from prerelax.denoisers.choosing import AUTO
from prerelax.denoisers.model_folders import check_readable, find_model, list_models, model_digests
from prerelax.errors import UserError
from prerelax.records.settings import is_digest
from prerelax.relaxation.settings import Relaxation

READERS = 4
"""Threads that read: enough to hide a network filesystem's latency, few for a login node."""
SAID = (
    "engine",
    "method",
    "basis",
    "dispersion",
    "calculator",
    "options",
    "electrons",
    "solvent",
    "solvent_model",
    "density_fitting",
    "accuracy",
    "conv_tol_eh",
    "optimizer",
    "fmax_ev_ang",
    "criteria",
    "max_steps",
    "hessian",
    "check_minimum",
    "kick",
    "seed",
    "max_iterations",
    "sampler",
    "steps",
    "calls",
    "fixed_types",
    "noise_free",
    "fallback",
    "time_model",
)
"""Settings that follow from what a config says; versions of programs are none of them."""
WRITTEN_WHERE_SET = (
    *("solvent", "solvent_model", "electrons", "check_minimum", "kick", "criteria"),
    *("sampler", "steps", "calls", "max_iterations", "time_model"),
)
"""Those that rows lack where they are not asked for; of others, rows of earlier versions may know nothing."""
MOVED_ASIDE = "moved-aside"


@dataclass(frozen=True)
class Unfit:
    """A finished shard that is made again."""

    frames: Path
    reason: str
    n_rows: int = 0
    work_s: float = 0.0
    """seconds that its rows took"""

    @property
    def sentence(self) -> str:
        rows = "1 row" if self.n_rows == 1 else f"{self.n_rows} rows"
        spent = f" ({rows}, {self.work_s / 3600:.2f} h)" if self.n_rows else ""
        return f"{self.frames}: {self.reason}{spent}; it is moved aside and made again"


def unfit_shards(campaign: Campaign, results: Path, shards: Sequence[Shard]) -> list[Unfit]:
    """The finished shards that cannot stand, in the order of the stages. Changes nothing."""
    found: list[Unfit] = []
    rows = rows_expected(campaign, shards)
    with ThreadPoolExecutor(READERS) as readers:
        for stage in stages(campaign):
            numbers = finished_shards(results, stage, len(shards))
            if not numbers:
                continue
            expected = _expected_settings(campaign, stage)
            of_stage = rows[stage.name]
            n_rows = [of_stage[number] if of_stage else None for number in numbers]
            frames = [shard_path(results, stage, number) for number in numbers]
            found += filter(None, readers.map(partial(_unfit, expected=expected), frames, n_rows))
    return found


def rows_expected(campaign: Campaign, shards: Sequence[Shard]) -> dict[str, list[int] | None]:
    """Rows of each shard by stage; None for stages behind one that makes several rows of a molecule."""
    known: dict[str, list[int] | None] = {}
    for stage in stages(campaign):
        is_known = stage.source is None or known.get(stage.source) is not None
        rows = [(shard.last - shard.first) * stage.conformers for shard in shards]
        known[stage.name] = rows if is_known and _keeps_rows(campaign, stage) else None
    return known


def told(unfit: Sequence[Unfit]) -> set[str]:
    """The frames of these shards, after saying of each why it is made again."""
    for shard in unfit:
        print(shard.sentence, file=sys.stderr)
    return {str(shard.frames) for shard in unfit}


def move_aside(unfit: Sequence[Unfit]) -> None:
    """Move the files of these shards into a folder of this moment beside them."""
    from prerelax.records.seal import refusal_path, table_path

    moment = time.strftime("%Y%m%d-%H%M%S")
    for shard in unfit:
        folder = shard.frames.parent / MOVED_ASIDE / moment
        folder.mkdir(parents=True, exist_ok=True)
        for path in (shard.frames, table_path(shard.frames)):
            if path.exists():
                path.replace(folder / path.name)
        refusal_path(shard.frames).unlink(missing_ok=True)


def check_weights(campaign: Campaign) -> None:
    """Raise ModelError where a denoiser's weights cannot be read; folders may have yet to come."""
    for part in campaign.starts.values():
        if (
            not isinstance(part, DiffuseStart)
            or part.epoch is not None
            or not is_known_before(campaign, part)
        ):
            continue
        for model in filter(None, (part.model, part.time_model)):
            if model != AUTO and (Path(model).exists() or model in list_models()):
                check_readable(find_model(model))


def check_writable(*folders: Path) -> None:
    """Raise UserError where a campaign may not write: in a folder, or where it does not exist, above it."""
    for folder in folders:
        there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
        if not os.access(there, os.W_OK | os.X_OK):
            raise UserError(
                f"{there.absolute()}: you may not write here; ask its owner for it, or run the campaign in a "
                "folder of your own"
            )


def _keeps_rows(campaign: Campaign, stage: Stage) -> bool:
    """Whether it is known how many rows a stage makes of one; displacements and searches say it later."""
    if stage.kind != "sample":
        return stage.kind not in ("displaced", "diffused")
    searched = next(start for name, start in campaign.starts.items() if start_folder(name) == stage.name)
    return isinstance(searched, SampleStart) and searched.conformers is not None


def _unfit(frames: Path, n_rows: int | None, *, expected: Mapping[str, object] | None) -> Unfit | None:
    from prerelax.records.seal import ShardError, refusal_path, summary_of

    note = refusal_path(frames)
    if note.is_file():
        return Unfit(frames, note.read_text().strip().removeprefix(f"{frames}: "))
    try:
        summary = summary_of(frames)
    except ShardError as error:
        return Unfit(frames, str(error).removeprefix(f"{frames}: ").partition("; ")[0])
    if n_rows is not None and summary.n_rows != n_rows:
        return Unfit(frames, f"{summary.n_rows} rows where the campaign has {n_rows}")
    for text in summary.settings if expected else ():
        if difference := _difference(text, json.dumps(expected, sort_keys=True)):
            return Unfit(frames, f"made with {difference}", summary.n_rows, summary.work_s)
    return None


@lru_cache(maxsize=1024)
def _difference(text: str, expected_text: str) -> str:
    """In what the settings of a row differ from those of the config; empty where they do not.

    Rows of a verb other than the stage's (a denoiser's fallback) are not judged, nor those of UFF where the
    force field failed.
    """
    expected, made = json.loads(expected_text), json.loads(text)
    if made.get("verb") != expected.get("verb") or made.get("instead_of") == expected.get("method", ""):
        return ""
    known = {name for name in made if name in SAID or is_digest(name)} | {*WRITTEN_WHERE_SET}
    differing = [name for name in sorted(known) if _compared(made.get(name)) != _compared(expected.get(name))]
    return ", ".join(dict.fromkeys(_in_words(name, made, expected) for name in differing))


def _compared(value: object) -> object:
    """What is compared of a setting; of a guide that is a level, what a config says, and digests."""
    if not isinstance(value, Mapping) or "engine" not in value:
        return value
    return {name: each for name, each in value.items() if name in SAID or is_digest(name)}


def _in_words(name: str, made: Mapping[str, object], expected: Mapping[str, object]) -> str:
    if is_digest(name):
        return "another model"
    if name == "hessian" and any(isinstance(each.get(name), Mapping) for each in (made, expected)):
        return "another cheap level"
    if name == "criteria" or (name == "fmax_ev_ang" and "criteria" in {*made, *expected}):
        return "another convergence"
    return f"{name} {json.dumps(made.get(name))}, not {json.dumps(expected.get(name))}"


def _expected_settings(campaign: Campaign, stage: Stage) -> dict[str, object] | None:
    """What the rows of a stage say where they are made today; None where that cannot be known here."""
    if stage.kind == "embed":
        return _of_embedding(campaign.seed)
    if stage.kind == "keep":
        return None  # its rows are those of its start, which is looked at itself
    part: Start | Relaxation
    if stage.kind == "points":
        part = campaign.single_points[stage.name.split("/")[1]].relaxation
    elif stage.name.startswith("relaxed/"):
        target, start = stage.name.split("/")[1:]
        if teaches_guide(campaign, start, target):
            return None  # with what a pilot taught of the level
        part = campaign.targets[target]
    else:
        part = next(start for name, start in campaign.starts.items() if start_folder(name) == stage.name)
    if not is_known_before(campaign, part):
        return None  # trained by the campaign: Snakemake sees that their weights are newer
    try:
        return _settings_of(part)
    except (UserError, ValueError):
        return None  # its program or its model is not here


def _of_embedding(seed: int) -> dict[str, object]:
    return {"verb": "embed", "method": "ETKDGv3", "seed": seed}


def _settings_of(part: Start | Relaxation) -> dict[str, object] | None:
    match part:
        case EmbedAgainStart():
            return _of_embedding(part.seed)
        case ForcefieldStart():
            return {"verb": "forcefield", "method": part.method, "max_iterations": part.max_iterations}
        case DiffuseStart(epoch=None):
            return {"verb": "diffuse", **model_digests(part.model, part.time_model), **part.sampling}
        case DiffusedStart():
            return {"verb": "diffused", "steps": part.steps, "seed": part.seed}
        case Relaxation():
            return part.settings()
        case _:
            return None
