"""The part `studies.training` of a campaign config."""

from collections.abc import Iterator

from pydantic import ConfigDict, Field, RootModel

from prerelax.campaign.config import Campaign
from prerelax.campaign.starts import DiffuseStart
from prerelax.settings import Settings
from prerelax.studies.study import Study, StudyFigure, StudyFiles, target_complaints


class Checkpoint(Settings):
    """The training state behind a start."""

    model: str
    epoch: float | None = Field(None, description="default: that of the training's newest model")
    steps: int = Field(50, ge=1, description="n, the step at which the geometry enters the reverse diffusion")


class SpeedupSettings(Settings):
    """Starts whose speedup over the baseline is drawn."""

    baseline: str = "mmff94"
    checkpoints: dict[str, Checkpoint] = Field(min_length=1, description="by start")


class TrainingStudy(RootModel[list[str]], Study):
    """Targets at which the speedup is followed over starts with an epoch (paper E, figures 10 and 17)."""

    model_config = ConfigDict(frozen=True)

    def complaints(self, campaign: Campaign) -> Iterator[str]:
        for target in self.root:
            yield from target_complaints(campaign, "training", target)
        starts = campaign.starts.values()
        if self.root and not any(isinstance(start, DiffuseStart) and start.epoch for start in starts):
            yield "studies.training: no start has an epoch"
            return
        for target in self.root:
            if target in campaign.targets and not _checkpoints(campaign, target):
                yield f"studies.training: {target} has no checkpoint's start from {campaign.baseline.start}"

    def figures(self, files: StudyFiles) -> Iterator[StudyFigure]:
        for target in self.root:
            settings = self.settings(files.campaign, target)
            yield StudyFigure(
                f"training_speedup_{target}",
                ["training", files.results, target],
                files.relaxed(target, [settings.baseline, *settings.checkpoints]),
                settings,
                f"steps saved over training, {target}",
                "training/report/training_speedup.rst",
                more=[],
            )

    @staticmethod
    def settings(campaign: Campaign, target: str) -> SpeedupSettings:
        """Starts from the baseline by checkpoints, and by the newest models that the campaign trains."""
        return SpeedupSettings(baseline=campaign.baseline.start, checkpoints=_checkpoints(campaign, target))


def _checkpoints(campaign: Campaign, target: str) -> dict[str, Checkpoint]:
    return {
        name: Checkpoint(model=start.model, epoch=start.epoch, steps=start.steps or 50)
        for name, start in campaign.starts.items()
        if isinstance(start, DiffuseStart)
        and name in campaign.starts_of(target)
        and start.from_ == campaign.baseline.start
        and (start.epoch or start.model in campaign.denoisers)
    }


KEYS = {"training": TrainingStudy}
