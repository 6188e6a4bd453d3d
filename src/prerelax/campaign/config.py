"""The campaign config as typed models: what a user may write, its defaults, and what follows from it.

One file for each section: `starts`, `targets`, `sets`; `levels` is what they share. The JSON schema in
workflow/schemas/ is generated from these models (`prerelax schema`).
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from prerelax.campaign.baseline import Baseline, BaselineChoice, Compared, Sample
from prerelax.campaign.data_path import DataPath
from prerelax.campaign.ensemble import CHEAP_STARTS, ConformerChoice, Ensemble, Keep, with_kept_start
from prerelax.campaign.in_small import in_small
from prerelax.campaign.layout import Layout, kept_folder, start_folder
from prerelax.campaign.practice import Practice, with_practice
from prerelax.campaign.section import EMBEDDING, ConfigError, Name
from prerelax.campaign.sets import TrainingSet
from prerelax.campaign.spelled_out import spelled_out
from prerelax.campaign.starts import (
    Adapt,
    DiffusedStart,
    DiffuseStart,
    DisplacedStart,
    EmbedStart,
    ForcefieldStart,
    RelaxStart,
    SampleStart,
    Start,
)
from prerelax.campaign.targets import PointsOfMinima, Target
from prerelax.denoisers.choosing import AUTO
from prerelax.denoisers.model_config import ModelConfig
from prerelax.denoisers.model_folders import (
    find_model,
    list_models,
    not_adaptable,
    read_model_config,
    timesteps,
)
from prerelax.diffusion.options import MORERED_SAMPLERS
from prerelax.errors import UserError, nearest
from prerelax.relaxation.settings import HOLDING, Relaxation
from prerelax.settings import Settings, sentences
from prerelax.starts.options import Constraints, Seed, Stereo
from prerelax.training.config import Training


def _default_starts() -> dict[str, Start]:
    return {"mmff94": ForcefieldStart(kind="forcefield"), "edm-n50": DiffuseStart(kind="diffuse")}


class Campaign(Settings):
    """Everything that one config describes."""

    campaign: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    molecules: DataPath
    draw: int | None = Field(
        None, ge=1, description="So many of the molecules, drawn by `seed` in random order. Default: all"
    )
    limit: int | None = Field(
        None,
        ge=1,
        description="In small, to see whether all of it runs: N molecules, and little of everything else. "
        "Results lie in NAME-limit-N",
    )
    baseline: BaselineChoice = Field(
        Baseline(),
        description="What the others are compared with: a start at each target, or `{start, target}`, for "
        "every start at every target of that level",
    )
    practice: Practice | None = Field(
        None,
        description="Usual practice in one word instead of `baseline`: mmff94-bfgs, as in the papers; "
        "gfn2-geometric, GFN2-xTB and then redundant internal coordinates",
    )
    compare: Compared = Field(
        "all",
        description="Molecules that the baseline is relaxed for: all, none, or `{sample: N}` drawn at random",
    )
    conformers: ConformerChoice = Field(
        1, description="Conformers of each molecule: a number, or how many are made and which are kept"
    )
    seed: Seed = Field(42, description="Random seed of the embedding")
    stereo: Stereo = "one"
    constraints: Constraints = ""
    shard_size: int = Field(100, ge=1, description="Molecules that one job treats")
    denoisers: dict[Name, Training] = Field(
        default_factory=dict,
        description="Models trained by the campaign itself: a training, or the file of one",
    )
    sets: dict[Name, TrainingSet] = Field(
        default_factory=dict, description="Training data made by the campaign itself"
    )
    starts: dict[Name, Start] = Field(
        default_factory=_default_starts,
        description="A key in braces in a name, `jt-{from}`, makes a start for each of its values",
    )
    targets: dict[Name, Target] = Field(
        default_factory=lambda: {"gfn2": Target(engine="tblite", method="GFN2-xTB")},
        description="Empty: nothing is relaxed, the studies alone are made",
    )
    single_points: dict[Name, PointsOfMinima] = Field(
        default_factory=dict, description="Levels at which the ends of relaxations are evaluated, by name"
    )
    studies: dict[str, object] = Field(default_factory=dict, description="Known to `prerelax.studies` alone")

    @model_validator(mode="before")
    @classmethod
    def _short_words_spelled_out(cls, config: object) -> object:
        if not isinstance(config, Mapping):
            return config
        return with_practice(with_kept_start(config, _default_starts()), _default_starts())

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        for complaint in self._complaints():
            raise ValueError(complaint)
        return self

    def _complaints(self) -> Iterator[str]:
        for name in self.starts:
            yield from self._wrong_source(name)
        yield from self._wrong_baseline()
        for name, part in self.starts.items():
            if not isinstance(part, DiffuseStart):
                continue
            if part.for_ is not None and part.for_ not in self.targets:
                hint = nearest(part.for_, self.targets)
                yield f"starts.{name}.for: {part.for_} is not among the targets{hint}"
            yield from self._unknown_model(name, part)
        for target, at in self.targets.items():
            for start in at.starts or []:
                if start not in self.starts:
                    yield f"targets.{target}.starts: {start} is not among the starts"
        for name, points in self.single_points.items():
            if points.of is not None and points.of not in self.targets:
                hint = nearest(points.of, self.targets)
                yield f"single_points.{name}.of: {points.of} is not among the targets{hint}"
            elif not self.targets:
                yield f"single_points.{name}: there is no target whose ends could be evaluated"
        for name, made in self.sets.items():
            if made.from_ is not None and (made.from_ not in self.sets or self.sets[made.from_].labels):
                yield f"sets.{name}.from: {made.from_} is not among the sets without labels"
        for name, training in self.denoisers.items():
            if training.data.set is not None and training.data.set not in self.sets:
                hint = nearest(training.data.set, self.sets)
                yield f"denoisers.{name}.data.set: {training.data.set} is not among the sets{hint}"
        for name, part in self.starts.items():
            if not isinstance(part, DisplacedStart) or part.set.endswith(".npz"):
                continue
            if part.set not in self.sets or not self.sets[part.set].labels:
                yield f"starts.{name}.set: {part.set} is neither an .npz nor among the sets with labels"
        for name, part in self.starts.items():
            if isinstance(part, DiffuseStart) and part.adapt is not None:
                yield from self._wrong_adapting(name, part, part.adapt)
        yield from self._too_many_steps()
        yield from self._unknown_force_fields()
        yield from self._wrong_ensemble()
        if self.constraints:
            yield from self.cannot_hold()

    def _unknown_model(self, name: str, start: DiffuseStart) -> Iterator[str]:
        """A word that names no shipped model; folders, and epochs of a training, may come to be later."""
        if start.epoch is not None:
            return
        known = (AUTO, *self.denoisers, *list_models())
        is_word = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", start.model) and not Path(start.model).exists()
        if is_word and start.model not in known:
            yield f"starts.{name}.model: no denoiser is called {start.model}{nearest(start.model, known)}"
        elif (config := self._config_of(start.model)) and start.sampler is not None:
            is_morered = (config.get("schedule") or {}).get("kind") == "morered"
            if is_morered != (start.sampler in MORERED_SAMPLERS):
                yield f"starts.{name}.sampler: {start.model} is no model for the sampler {start.sampler}"

    def _config_of(self, model: str) -> ModelConfig | None:
        """What a model says of itself; None for the campaign's own, and one that is not there yet."""
        if model in self.denoisers or model == AUTO:
            return None
        try:
            return read_model_config(find_model(model))
        except UserError:  # `check_weights` says of a damaged one what is wrong
            return None

    def _wrong_ensemble(self) -> Iterator[str]:
        if not isinstance(self.conformers, Ensemble):
            return
        at = None if self.keep is None else self.keep.at
        if at is not None and at not in self.starts:
            energies = [n for n, start in self.starts.items() if isinstance(start, RelaxStart | SampleStart)]
            hint = nearest(at, dict.fromkeys([*energies, *CHEAP_STARTS]))
            yield f"conformers.keep.at: {at} is not among the starts of the kind relax or sample{hint}"
        elif at is not None and not isinstance(self.starts[at], RelaxStart | SampleStart):
            yield f"conformers.keep.at: the start {at} has no energies; name one of the kind relax or sample"
        searched = [name for name, start in self.starts.items() if isinstance(start, SampleStart)]
        if self.conformers.method == "sample" and not searched:
            yield "conformers.method: sample finds minima at GFN2-xTB; keep them `at: gfn2`"
        several = [n for n, start in self.starts.items() if isinstance(start, DisplacedStart | DiffusedStart)]
        if several and at is not None:
            yield f"starts.{several[0]}: makes several rows of a molecule itself; leave out conformers.keep"

    def cannot_hold(self) -> Iterator[str]:
        """The parts that would not keep to constraints, each as a sentence."""
        parts: dict[str, Mapping[str, BaseModel]] = {"starts": self.starts, "targets": self.targets}
        able = ", ".join(sorted(HOLDING))
        for where, named in parts.items():
            for name, part in named.items():
                why = ""
                if isinstance(part, Relaxation):
                    if part.optimizer is not None and part.optimizer not in HOLDING:
                        why = f"optimizer: {part.optimizer} holds no constraints; take one of {able}"
                    elif part.check_minimum not in (None, "none"):
                        why = "check_minimum: the end of a relaxation with constraints is no minimum"
                elif isinstance(part, ForcefieldStart) and part.method == "mmff94-openbabel":
                    why = "method: mmff94-openbabel holds no constraints; take mmff94 or uff"
                elif part.kind in ("embed-again", "sample", "displaced", "diffused"):  # type: ignore[attr-defined]
                    why = f"kind: {part.kind} makes new geometries, which hold no constraints"  # type: ignore[attr-defined]
                if why:
                    yield f"{where}.{name}.{why}"

    def _wrong_baseline(self) -> Iterator[str]:
        start, target = self.baseline.start, self.baseline.target
        if self.compare == "none":
            return
        if start not in self.starts:
            yield f"baseline: {start} is not among the starts{nearest(start, self.starts)}"
        if target is not None and target not in self.targets:
            yield f"baseline: {target} is not among the targets{nearest(target, self.targets)}"
            return
        for each in self.targets:
            if target in (None, each) and start not in self.starts_of(each):
                yield f"targets.{each}.starts: the baseline {start} is missing"

    def _wrong_adapting(self, name: str, start: DiffuseStart, adapt: Adapt) -> Iterator[str]:
        if adapt.target not in self.targets:
            hint = nearest(adapt.target, self.targets)
            yield f"starts.{name}.adapt.target: {adapt.target} is not among the targets{hint}"
        if adapt.on == "molecules" and self.conformers != 1:
            yield f"starts.{name}.adapt: molecules are learned one each: with conformers take fragments"
        if start.model == AUTO:
            yield f"starts.{name}.adapt: name the model that is adapted; auto chooses among several"
        source = self.starts.get(start.from_)
        if not isinstance(source, ForcefieldStart) or source.from_ != EMBEDDING:
            yield f"starts.{name}.adapt: what is adapted starts from a force field's geometries (`from`)"
        if start.epoch is not None:
            yield f"starts.{name}.epoch: the model is adapted here; leave out epoch, or adapt"
        config = self._config_of(start.model)
        if config and (objection := not_adaptable(start.model, config)):
            yield f"starts.{name}.adapt: {objection}"

    def _too_many_steps(self) -> Iterator[str]:
        for name, start in self.starts.items():
            if not isinstance(start, DiffuseStart) or start.steps is None:
                continue
            own = self.denoisers.get(start.model)
            most = timesteps(start.model) if own is None else own.schedule.timesteps
            if most is not None and start.steps > most:
                yield f"starts.{name}.steps must be at most {most}, as {start.model} has, not {start.steps}"

    def _unknown_force_fields(self) -> Iterator[str]:
        from prerelax.engines import engine_named, validate_level

        parts: dict[str, Mapping[str, BaseModel]]
        parts = {"starts": self.starts, "targets": self.targets, "sets": self.sets}
        for where, named in parts.items():
            for name, part in named.items():
                if isinstance(part, Relaxation) and engine_named(part.engine).method_is_model:
                    if part.method in self.denoisers:
                        continue
                    try:
                        validate_level(part.level)
                    except (ValueError, UserError) as error:
                        yield f"{where}.{name}.method: {error}"

    def _wrong_source(self, name: str) -> Iterator[str]:
        start = self.starts[name]
        if (name == EMBEDDING) != isinstance(start, EmbedStart):
            yield f"starts.{name}: the kind embed belongs to the start named {EMBEDDING}, and only to it"
            return
        seen = [name]
        while not isinstance(start, EmbedStart) and start.from_ != EMBEDDING:
            source = start.from_
            if source in seen:
                yield f"starts.{name}: made from itself ({' from '.join([*seen, source])})"
                return
            if source not in self.starts:
                hint = nearest(source, self.starts)
                default = "" if "from_" in start.model_fields_set else ", the default,"
                yield f"starts.{seen[-1]}.from: {source}{default} is not among the starts{hint}"
                return
            seen.append(source)
            start = self.starts[source]

    def baseline_target(self, target: str) -> str:
        """The target at which the baseline is relaxed that a target's relaxations are compared with."""
        of = self.baseline.target
        if of is None or of == target:
            return target
        same = self.targets[of].level.model_dump(exclude={"tight"})
        return of if self.targets[target].level.model_dump(exclude={"tight"}) == same else target

    @property
    def molecule_file(self) -> Path:
        """The file whose rows the shards are: the user's, or what is drawn of it, or of these the isomers."""
        if self.stereo == "enumerate":
            return Layout.of(self.campaign).isomers
        return self.molecules if self.draw is None else self.drawn_file

    @property
    def drawn_file(self) -> Path:
        """The molecules drawn of the user's file, where `draw` asks for it."""
        suffix = ".npz" if self.molecules.suffix == ".npz" else ".csv"
        return Layout.of(self.campaign).drawn(self.draw or 0, self.seed, suffix)

    @property
    def keep(self) -> Keep | None:
        """By what conformers are kept for the targets; None: all are."""
        return self.conformers.keep if isinstance(self.conformers, Ensemble) else None

    def conformers_of(self, start: str) -> int:
        """Rows that a start has of each molecule of the input, where it does not make several of one row."""
        made = self.starts.get(start)
        if isinstance(made, SampleStart) and made.conformers is not None:
            return made.conformers
        if start != EMBEDDING:
            return self.conformers_of(self.source(start))
        if isinstance(self.conformers, int):
            return self.conformers
        return 1 if self.conformers.method == "sample" else self.conformers.count

    @property
    def before_keeping(self) -> list[str]:
        """Starts that have all conformers: the one by which they are kept, and those that it is made from."""
        found: list[str] = []
        for name in self.judged_by:
            found.append(name)
            if isinstance(self.starts.get(name), SampleStart):
                break  # what it is made from has one geometry of each molecule
        return found

    @property
    def judged_by(self) -> list[str]:
        """The start by which conformers are kept, and those behind it, down to the embedding."""
        if self.keep is None:
            return []
        found = [self.keep.at]
        while found[-1] != EMBEDDING:
            found.append(self.source(found[-1]))
        return found

    def is_baseline(self, target: str, start: str) -> bool:
        """Whether a start's relaxations at a target are what others are compared with."""
        return start == self.baseline.start and self.baseline_target(target) == target

    def is_sampled(self, target: str, start: str) -> bool:
        """Whether a start's relaxations at a target are those of a sample of the molecules."""
        return isinstance(self.compare, Sample) and self.is_baseline(target, start)

    def relaxed_starts(self, target: str) -> list[str]:
        """`starts_of` without a baseline that is not to be compared with."""
        alone = self.compare == "none"
        return [name for name in self.starts_of(target) if not (alone and self.is_baseline(target, name))]

    def evaluated_target(self, points: str) -> str:
        """The target whose ends are evaluated: the one that is named, or the first of a DFT program."""
        from prerelax.engines import is_cheap

        named = self.single_points[points].of
        others = [n for n in self.targets if n != self.baseline.target] or list(self.targets)
        return named or next((n for n in others if not is_cheap(self.targets[n])), others[0])

    def starts_of(self, target: str) -> list[str]:
        """Names of the starts relaxed at a target, the baseline among them, in the config's order."""
        chosen = self.targets[target].starts
        return [name for name in self.starts if chosen is None or name in chosen]

    def starts_of_kind(self, kind: str) -> list[str]:
        """Names of the starts made by one verb."""
        return [name for name, start in self.starts.items() if start.kind == kind]

    def rows_of_minimum(self, name: str) -> int:
        """Rows that a start of the kind displaced or diffused has for each minimum."""
        start = self.starts[name]
        return len(start.steps) if isinstance(start, DiffusedStart) else 3

    def source(self, name: str) -> str:
        """The start from whose geometries another one is made."""
        start = self.starts[name]
        return EMBEDDING if isinstance(start, EmbedStart) else start.from_

    def source_folder(self, name: str) -> str:
        """The folder in the results from whose shards a start is made."""
        source = self.source(name)
        return start_folder(source) if name in self.before_keeping else self.folder_to_relax(source)

    def folder_to_relax(self, name: str) -> str:
        """The folder in the results whose shards go on to the targets."""
        return kept_folder(name) if name in self.before_keeping else start_folder(name)


def load_campaign(config: Mapping[str, object]) -> Campaign:
    """The config as a Campaign, cut to its `limit`. Raises ConfigError with a sentence for each mistake."""
    whole = in_small(spelled_out(config))
    try:
        return Campaign.model_validate(whole)
    except ValidationError as error:
        raise ConfigError(sentences(error, Campaign, whole)) from None
