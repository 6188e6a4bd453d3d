"""The campaign config as typed models: what a user may write, its defaults, and what follows from it.

The JSON schema in workflow/schemas/ is generated from these models (`prerelax schema`).
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from prerelax.campaign.data_path import DataPath, expanded
from prerelax.campaign.spelled_out import spelled_out
from prerelax.choices import CheckMinimum, Dispersion, Engine, Hessian, Optimizer
from prerelax.diffusion.options import Device, Sampler
from prerelax.errors import UserError, nearest
from prerelax.settings import Settings, SettingsFile, sentences
from prerelax.starts.options import Fallback, ForceField
from prerelax.training.config import Training

if TYPE_CHECKING:  # engines are looked at only where a level stands
    from prerelax.engines import Level

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
EMBEDDING = "rdkit"
"""The start that every campaign has: the embedded geometries in molecules/."""


class ConfigError(UserError):
    """A config that must not start a campaign; the message names the key and what to write instead."""


class EmbedStart(Settings):
    """Compare the embedded geometries themselves."""

    kind: Literal["embed"]


class EmbedAgainStart(Settings):
    """Embed again what came with coordinates, as the papers embed a data set's molecules."""

    kind: Literal["embed-again"]
    from_: Name = Field(EMBEDDING, alias="from", description="the start whose molecules are embedded")
    seed: int = 42


class ForcefieldStart(Settings):
    """Minimise with a force field of RDKit."""

    kind: Literal["forcefield"]
    from_: Name = Field(EMBEDDING, alias="from", description="the start whose geometries are minimised")
    method: ForceField = "mmff94"
    max_iterations: int | None = Field(None, ge=1, description="as the paper: 200; default: to convergence")


class _Level(Settings):
    engine: Engine
    method: str = Field(min_length=1, description="GFN2-xTB, GFN1-xTB, qm9, or a functional such as PBE0")
    basis: str | None = None
    dispersion: Dispersion | None = None
    solvent: str | None = Field(None, min_length=1, description="implicit solvent, e.g. water")
    solvent_model: str | None = Field(
        None, description="smd, c-pcm, ief-pcm (pyscf); alpb, gbsa, c-pcm (tblite); default: the first"
    )
    optimizer: Optimizer | None = Field(
        None, description="default: two-level with a DFT program, otherwise bfgs-hessian; the papers': bfgs"
    )
    hessian: Hessian = Field(
        "auto",
        description="the cheap level of bfgs-hessian and two-level; auto: GFN1-xTB, or what is nearly free "
        "beside the target",
    )
    fmax: float = Field(0.03, gt=0, description="largest force on an atom at convergence, eV/Å")
    check_minimum: CheckMinimum = Field(
        "none", description="whether the end is a minimum: by the cheap level's Hessian, or the target's own"
    )
    kick: bool = Field(False, description="leave a saddle point that check_minimum found and relax again")
    max_steps: int = Field(1000, ge=1, description="the papers had no cap")
    timeout_s: float | None = Field(None, gt=0, description="seconds for one molecule")

    @model_validator(mode="after")
    def _known_level(self) -> "_Level":
        from prerelax.engines import engine_named, validate_level

        if not engine_named(self.engine).method_is_model:  # which the campaign may have yet to train
            validate_level(self.level())
        return self

    def level(self) -> "Level":
        """The level of theory that these keys mean."""
        from prerelax.engines import Level

        return Level(
            self.engine,
            self.method,
            self.basis,
            self.dispersion,
            solvent=self.solvent,
            solvent_model=self.solvent_model,
        )


class RelaxStart(_Level):
    """Pre-relax at a level cheaper than the targets; its gradients are counted as cheap ones."""

    kind: Literal["relax"]
    from_: Name = Field("mmff94", alias="from", description="the start whose geometries are relaxed")


class DiffuseStart(Settings):
    """Denoise with a diffusion model."""

    kind: Literal["diffuse"]
    from_: Name = Field("mmff94", alias="from", description="the start whose geometries are denoised")
    model: str = Field("edm-qm9-small", min_length=1, description="a shipped model's name or a model folder")
    epoch: float | None = Field(
        None, gt=0, description="the model that a training kept then; `model`: a denoiser, or its folder"
    )
    sampler: Sampler | None = Field(
        None,
        description="edm: last steps; few: deterministic; the others: MoreRed's; default: the model's",
    )
    steps: int | None = Field(
        None,
        ge=1,
        description="the step at which the geometry enters the reverse diffusion; default: the model's",
    )
    max_iterations: int | None = Field(None, ge=1, description="of itp, as and jt at most")
    time_model: str | None = Field(
        None, min_length=1, description="of as and itp, as `model`; default: its folder `time`"
    )
    calls: int | None = Field(None, ge=1, description="network calls of the sampler `few`")
    fixed_types: bool = False
    noise_free: bool = False
    fallback: Fallback = Field(
        "gfn2",
        description="what relaxes molecules that the model does not know, breaks or is not sure of",
    )
    seed: int = 0
    batch_size: int = Field(128, ge=1)
    device: Device = "auto"


class DisplacedStart(Settings):
    """Three displacements of every minimum: smallest, middle and largest RMSD (paper M's inputs)."""

    kind: Literal["displaced"]
    from_: Name = Field(alias="from", description="the start whose geometries are minima of the set's level")
    set: str = Field(min_length=1, description="one of `sets`, by which they are displaced, or an npz of one")
    displacements: int = Field(100, ge=3, description="of every minimum, where they are made")

    @model_validator(mode="after")
    def _path_is_set(self) -> "DisplacedStart":
        expanded(self.set)
        return self


class DiffusedStart(Settings):
    """Minima with as much noise as the schedule has at some steps: one geometry for each."""

    kind: Literal["diffused"]
    from_: Name = Field(alias="from", description="the start whose geometries are diffused")
    steps: list[Annotated[int, Field(ge=1, le=999)]] = Field(min_length=1, description="of MoreRed's 1000")
    seed: int = 0


Start = Annotated[
    EmbedStart
    | EmbedAgainStart
    | ForcefieldStart
    | RelaxStart
    | DiffuseStart
    | DisplacedStart
    | DiffusedStart,
    Field(discriminator="kind"),
]


class Labels(Settings):
    """The level of energies and forces."""

    engine: Engine
    method: str = Field(min_length=1)
    basis: str | None = None
    dispersion: Dispersion | None = None


class TrainingSet(_Level):
    """Data for trainings, made by the campaign: minima, with `labels` their displacements too.

    No molecule of the campaign's own `molecules`, by its graph, is in it.
    """

    molecules: DataPath | None = Field(None, description="molecules to relax; or else `from`")
    every: int = Field(1, ge=1, description="each so-many-th of the molecules")
    from_: Name | None = Field(None, alias="from", description="another set, whose minima are relaxed again")
    displacements: int = Field(100, ge=1, description="of every minimum, where it has labels")
    labels: Labels | None = Field(None, description="displace the minima, energies and forces at this level")

    @model_validator(mode="after")
    def _one_source(self) -> "TrainingSet":
        if (self.molecules is None) == (self.from_ is None):
            raise ValueError("give either molecules or from")
        return self


class Only(Settings):
    """Which molecules a target treats; the others get the status `skipped`."""

    max_atoms: int | None = Field(None, ge=1)
    max_heavy_atoms: int | None = Field(None, ge=0)


class Target(_Level):
    """Engine, level, optimizer and convergence of the final relaxations."""

    only: Only = Only()
    starts: list[Name] | None = Field(None, description="starts relaxed at this target; default: all")


class Campaign(SettingsFile):
    """Everything that one config describes."""

    campaign: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    molecules: DataPath
    baseline: Name = "mmff94"
    conformers: int = Field(1, ge=1)
    seed: int = Field(42, description="of the embedding")
    shard_size: int = Field(100, ge=1, description="molecules that one job treats")
    denoisers: dict[Name, Training] = Field(
        default_factory=dict,
        description="models trained by the campaign itself: a training, or the file of one",
    )
    sets: dict[Name, TrainingSet] = Field(
        default_factory=dict, description="training data made by the campaign itself"
    )
    starts: dict[Name, Start] = Field(
        default_factory=lambda: dict[str, Start](
            {"mmff94": ForcefieldStart(kind="forcefield"), "edm-n50": DiffuseStart(kind="diffuse")}
        ),
        description="a key in braces in a name, `jt-{from}`, makes a start for each of its values",
    )
    targets: dict[Name, Target] = Field(
        default_factory=lambda: {"gfn2": Target(engine="tblite", method="GFN2-xTB")},
        description="empty: nothing is relaxed, the studies alone are made",
    )

    studies: dict[str, object] = Field(default_factory=dict, description="known to `prerelax.studies` alone")

    @model_validator(mode="after")
    def _starts_hang_together(self) -> "Campaign":
        for name in self.starts:
            self._check_source(name)
        if self.baseline not in self.starts:
            raise ValueError(
                f"baseline: {self.baseline} is not among the starts{nearest(self.baseline, self.starts)}"
            )
        for target, at in self.targets.items():
            for start in at.starts or []:
                if start not in self.starts:
                    raise ValueError(f"targets.{target}.starts: {start} is not among the starts")
            if self.baseline not in self.starts_of(target):
                raise ValueError(f"targets.{target}.starts: the baseline {self.baseline} is missing")
        for complaint in self._complaints():
            raise ValueError(complaint)
        return self

    def _complaints(self) -> Iterator[str]:
        for name, made in self.sets.items():
            if made.from_ is not None and (made.from_ not in self.sets or self.sets[made.from_].labels):
                yield f"sets.{name}.from: {made.from_} is not among the sets without labels"
        for name, training in self.denoisers.items():
            if training.data.set is not None and training.data.set not in self.sets:
                hint = nearest(training.data.set, self.sets)
                yield f"denoisers.{name}.data.set: {training.data.set} is not among the sets{hint}"
        for name, start in self.starts.items():
            if not isinstance(start, DisplacedStart) or start.set.endswith(".npz"):
                continue
            if start.set not in self.sets or not self.sets[start.set].labels:
                yield f"starts.{name}.set: {start.set} is neither an .npz nor among the sets with labels"
        yield from self._unknown_force_fields()

    def _unknown_force_fields(self) -> Iterator[str]:
        from prerelax.engines import validate_level

        parts: dict[str, Mapping[str, Settings]]
        parts = {"starts": self.starts, "targets": self.targets, "sets": self.sets}
        for where, named in parts.items():
            for name, part in named.items():
                if isinstance(part, _Level) and part.engine == "mlff" and part.method not in self.denoisers:
                    try:
                        validate_level(part.level())
                    except (ValueError, UserError) as error:
                        yield f"{where}.{name}.method: {error}"

    def _check_source(self, name: str) -> None:
        start = self.starts[name]
        if (name == EMBEDDING) != isinstance(start, EmbedStart):
            raise ValueError(
                f"starts.{name}: the kind embed belongs to the start named {EMBEDDING}, and only to it"
            )
        seen = [name]
        while not isinstance(start, EmbedStart) and start.from_ != EMBEDDING:
            source = start.from_
            if source in seen:
                raise ValueError(f"starts.{name}: made from itself ({' from '.join([*seen, source])})")
            if source not in self.starts:
                raise ValueError(
                    f"starts.{seen[-1]}.from: {source} is not among the starts{nearest(source, self.starts)}"
                )
            seen.append(source)
            start = self.starts[source]

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


def options(part: Start | Target | TrainingSet) -> list[str]:
    """The command-line options of the verb that makes a start or relaxes at a target.

    Each field that differs from its default is an option of the same name, but for what the workflow itself
    has to say: names, files and the model.
    """
    words: list[str] = []
    said = part.model_dump(exclude_defaults=True, exclude=_SAID_BY_RULES)
    for name, value in said.items():
        flag = _FLAGS.get(name, "--" + name.replace("_", "-"))
        words += [flag] if value is True else [flag, str(value)]
    if isinstance(part, Target):
        for name, value in part.only.model_dump(exclude_none=True).items():
            words += ["--" + name.replace("_", "-"), str(value)]
    return words


_FLAGS = {"timeout_s": "--timeout"}
_SAID_BY_RULES = {"kind", "from_", "starts", "only", "model", "time_model", "molecules", "every"}


def displacing_options(made: TrainingSet, displacements: int) -> list[str]:
    """The options of `prerelax displace` for a set, and for other molecules as it treats its own."""
    assert made.labels is not None
    level = made.model_dump(include={"engine", "method", "basis", "dispersion", "fmax"}, exclude_none=True)
    labels = {f"label_{k}": v for k, v in made.labels.model_dump(exclude_none=True).items()}
    return _words({**level, **labels, "displacements": displacements})


def level_options(target: Target) -> list[str]:
    """The command-line options of `prerelax energies` at a target's level, for the molecules it treats."""
    return engine_options(target) + _words(target.only.model_dump(exclude_none=True))


def engine_options(target: Target) -> list[str]:
    """The same for whatever molecules it is given: the level alone."""
    level = {"engine", "method", "basis", "dispersion", "solvent", "solvent_model"}
    return _words(target.model_dump(include=level, exclude_none=True))


def _words(said: Mapping[str, Any]) -> list[str]:
    return [word for name, value in said.items() for word in ("--" + name.replace("_", "-"), str(value))]


def load_campaign(config: Mapping[str, Any]) -> Campaign:
    """The config as a Campaign. Raises ConfigError with one sentence for each thing that is wrong."""
    whole = spelled_out(config)
    try:
        return Campaign.model_validate(whole)
    except ValidationError as error:
        raise ConfigError(sentences(error, Campaign, whole)) from None
