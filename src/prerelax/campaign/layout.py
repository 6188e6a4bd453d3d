"""Where the files of a campaign lie: said here alone, for the rules and for whatever reads the results.

`results/<campaign>/` holds `molecules/<shard>`, `starts/<start>/<shard>`, `kept/<start>/<shard>`,
`relaxed/<target>/<start>/<shard>`, `sets/<set>…`, `training/<denoiser>/`, `pilot/<start>/…`,
`adapted/<start>/`, the comparison and its figures.
"""

from dataclasses import dataclass
from pathlib import Path

from prerelax.campaign.section import EMBEDDING


def start_folder(start: str) -> str:
    """The folder of a start in the results: `molecules`, `starts/gfn2`."""
    return "molecules" if start == EMBEDDING else f"starts/{start}"


def relaxed_folder(target: str, start: str) -> str:
    """The folder of a start's relaxations at a target in the results: `relaxed/qm9/mmff94`."""
    return f"relaxed/{target}/{start}"


def kept_folder(start: str) -> str:
    """The folder of a start's rows, those skipped whose conformers are not kept."""
    return f"kept/{start}"


def points_folder(points: str, target: str, start: str) -> str:
    """The folder of the energies at a further level of what a start relaxed to at a target."""
    return f"single_points/{points}/{target}/{start}"


@dataclass(frozen=True)
class Layout:
    """Files of the campaign whose results lie in `results`; any name may be a wildcard such as `{shard}`."""

    results: str

    @classmethod
    def of(cls, campaign: str) -> "Layout":
        """The layout of a campaign, relative to where Snakemake runs."""
        return cls(f"results/{campaign}")

    @property
    def folder(self) -> Path:
        return Path(self.results)

    @property
    def isomers(self) -> Path:
        """The molecules, one row for each isomer, where a campaign enumerates them."""
        return self.folder / "isomers.csv"

    def drawn(self, n: int, seed: int, suffix: str) -> Path:
        """The molecules that a campaign draws of its file."""
        return self.folder / f"drawn-{n}-{seed}{suffix}"

    def shard(self, folder: str, shard: str) -> str:
        """Frames of a shard in a folder of the results."""
        return f"{self.results}/{folder}/{shard}.extxyz"

    def start(self, start: str, shard: str) -> str:
        """Frames of a start's shard."""
        return self.shard(start_folder(start), shard)

    def sampled(self, start: str, shard: str) -> str:
        """Frames of a start's shard, those skipped that the baseline is not relaxed for."""
        return self.shard(f"compared/{start}", shard)

    def relaxed(self, target: str, start: str, shard: str) -> str:
        """Frames of a shard relaxed at a target."""
        return self.shard(relaxed_folder(target, start), shard)

    def path(self, start: str, shard: str) -> str:
        """Frames of every geometry on the paths that end in a start."""
        return self.shard(f"paths/{start}", shard)

    def evaluated(self, target: str, start: str, shard: str) -> str:
        """The same with energies and forces at a target."""
        return self.shard(f"energies/{target}/{start}", shard)

    def relaxations(self, target: str, start: str) -> str:
        """The folder of a start's relaxations at a target."""
        return f"{self.results}/{relaxed_folder(target, start)}"

    def training(self, denoiser: str) -> str:
        """The folder in which a denoiser of the campaign's own is trained."""
        return f"{self.results}/training/{denoiser}"

    def model(self, denoiser: str) -> str:
        """The model folder of a denoiser of the campaign's own."""
        return f"{self.training(denoiser)}/model"

    def weights(self, denoiser: str) -> str:
        """The file that a denoiser's users wait for."""
        return f"{self.model(denoiser)}/weights.safetensors"

    def adapted(self, learned: str) -> str:
        """The model folder of a denoiser that was adapted for a start (`prerelax.campaign.learning`)."""
        return f"{self.results}/adapted/{learned}"

    def guide(self, learned: str) -> str:
        """What two-level learned of the level, beside the model."""
        return f"{self.adapted(learned)}/guide.json"

    def fragments(self, start: str) -> str:
        """The fragments that a start's denoiser learns from."""
        return f"{self.results}/pilot/{start}/fragments.smi"

    def pilot(self, start: str, stage: str, part: str) -> str:
        """Frames of a part of what is learned from: `relaxed`, or `60/relaxed` of a round of molecules."""
        return self.shard(f"pilot/{start}/{stage}", part)

    def set(self, name: str) -> str:
        """A training set of the campaign's own."""
        return f"{self.results}/sets/{name}.npz"

    def set_shard(self, name: str, stage: str) -> str:
        """Frames of a set's `molecules` or `minima`."""
        return f"{self.results}/sets/{name}/{stage}.extxyz"

    def displacements(self, start: str, shard: str) -> str:
        """The displacements that a start's inputs are chosen from, made of the molecules of a shard."""
        return f"{self.results}/displaced/{start}/{shard}.npz"

    def figure(self, name: str, kind: str = "png") -> str:
        """A file of a figure."""
        return f"{self.results}/figures/{name}.{kind}"
