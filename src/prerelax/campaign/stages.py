"""The stages of a campaign as status, plan and retry see them: folders, rules, and what each is made from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prerelax.campaign.config import Campaign, load_campaign
from prerelax.campaign.layout import Layout, kept_folder, points_folder, relaxed_folder, start_folder
from prerelax.campaign.section import EMBEDDING
from prerelax.campaign.sharding import Shard, Sharding, shard_name
from prerelax.campaign.starts import DiffuseStart, RelaxStart
from prerelax.engines import is_cheap
from prerelax.errors import UserError
from prerelax.settings import read_settings

CAMPAIGN_FILE = "campaign.yaml"
"""in the results: the config as it was begun"""


@dataclass(frozen=True)
class Stage:
    """One step that every shard goes through."""

    name: str
    """its folder in the results: `molecules`, `starts/gfn2`, `relaxed/qm9/mmff94`"""
    kind: str
    """of the start that it makes, `relax`, `keep` or `points`"""
    rule: str
    source: str | None
    """name of the stage whose shards it reads"""
    engine: str = ""
    method: str = ""
    conformers: int = 1
    """rows of each molecule of the input"""
    is_after_keeping: bool = False
    """conformers that are not kept pass it unchanged"""

    @property
    def has_journal(self) -> bool:
        return self.kind in ("relax", "points")


def read_campaign(path: Path) -> Campaign:
    """The campaign of a config file. Raises UserError in one sentence for whatever is wrong with it."""
    return load_campaign(read_settings(path))


def begun_shards(campaign: Campaign, results: Path) -> list[Shard]:
    """The shards of a campaign as it noted them when it began. Raises UserError where it has no results."""
    if not results.is_dir():
        raise UserError(f"{results}: no results yet; run the campaign first, or call this in its folder")
    molecules = results.parent.parent / campaign.molecule_file
    return Sharding(molecules, campaign.shard_size, results, job_of_running_campaign=True).shards


def opened_campaign(path: Path) -> tuple[Campaign, Path]:
    """A campaign by its config, or by its folder in results/, and the folder in which it was run.

    Raises UserError as `read_campaign` does, and for a folder that was renamed or moved out of results/.
    """
    if not path.is_dir():
        return read_campaign(path), Path()
    if not (path / CAMPAIGN_FILE).is_file():
        raise UserError(
            f"{path}: no campaign's folder: it holds no {CAMPAIGN_FILE}; name a folder in results/"
        )
    campaign = read_campaign(path / CAMPAIGN_FILE)
    # A link in results/ to another disk is a campaign's folder, so links are followed only after `..`.
    place = path.resolve() if ".." in path.parts else path.absolute()
    if place.parts[-2:] != ("results", campaign.campaign):
        raise UserError(
            f"{path}: these are results of the campaign {campaign.campaign}; they are read only in a folder "
            f"results/{campaign.campaign}, so move them there"
        )
    return campaign, place.parent.parent


def results_of(path: Path) -> Path:
    """The results of a campaign, by its config or that folder itself. Raises UserError as `read_campaign`."""
    return path if path.is_dir() else Path(Layout.of(read_campaign(path).campaign).results)


def stages(campaign: Campaign) -> list[Stage]:
    """All stages, each behind the one that it is made from."""
    found = [Stage(start_folder(EMBEDDING), "embed", "embed", None)]
    found[0] = replace(found[0], conformers=campaign.conformers_of(EMBEDDING))
    first = campaign.judged_by
    order = _in_order(campaign)
    found += [_of_start(campaign, name) for name in order if name in first]
    found += _of_keeping(campaign)
    found += [_of_start(campaign, name) for name in order if name not in first]
    for target, at in campaign.targets.items():
        rule = "relax_xtb" if is_cheap(at) else "relax_dft"
        for start in campaign.relaxed_starts(target):
            source, rows = campaign.folder_to_relax(start), campaign.conformers_of(start)
            level, is_after = (at.engine, at.method), campaign.keep is not None
            found.append(Stage(relaxed_folder(target, start), "relax", rule, source, *level, rows, is_after))
    for name, points in campaign.single_points.items():
        target = campaign.evaluated_target(name)
        for start in campaign.relaxed_starts(target):
            folder, source = points_folder(name, target, start), relaxed_folder(target, start)
            more = (points.engine, points.method, campaign.conformers_of(start), campaign.keep is not None)
            found.append(Stage(folder, "points", "single_points", source, *more))
    return found


_RULES = {"relax": "prerelax_xtb", "sample": "sample_conformers"}
"""of kinds of starts that are called otherwise"""


def _of_start(campaign: Campaign, name: str) -> Stage:
    part = campaign.starts[name]
    rule: str = _RULES.get(part.kind, part.kind)
    engine, method = (part.engine, part.method) if isinstance(part, RelaxStart) else ("", "")
    if isinstance(part, DiffuseStart):
        method = part.sampler or ""
    is_after = campaign.keep is not None and name not in campaign.judged_by
    rows = campaign.conformers_of(name)
    source = campaign.source_folder(name)
    return Stage(start_folder(name), part.kind, rule, source, engine, method, rows, is_after)


def _of_keeping(campaign: Campaign) -> list[Stage]:
    """One for each start that goes on after conformers were sorted out, the one that decides first."""
    if campaign.keep is None:
        return []
    wanted = {campaign.source_folder(name) for name in campaign.starts}
    wanted |= {campaign.folder_to_relax(n) for at in campaign.targets for n in campaign.relaxed_starts(at)}
    names = [n for n in campaign.before_keeping if n == campaign.keep.at or kept_folder(n) in wanted]
    return [
        Stage(kept_folder(n), "keep", "keep", start_folder(n), conformers=campaign.conformers_of(n))
        for n in names
    ]


def shard_path(results: Path, stage: Stage, number: int) -> Path:
    """Frames of a shard."""
    return Path(Layout(str(results)).shard(stage.name, shard_name(number)))


def finished_shards(results: Path, stage: Stage, n_shards: int) -> list[int]:
    """Numbers of the stage's shards that are whole, from one look into its folder."""
    folder = results / stage.name
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return [number for number in range(n_shards) if f"{shard_name(number)}.extxyz" in names]


def _in_order(campaign: Campaign) -> Sequence[str]:
    """Starts, each behind the one that it is made from; the embedding is no start of its own here."""
    done: list[str] = [EMBEDDING]
    while len(done) < len({EMBEDDING, *campaign.starts}):
        done += [name for name in campaign.starts if name not in done and campaign.source(name) in done]
    return done[1:]
