"""The parts `studies.schedules` and `studies.shells` of a campaign config: the steps that MoreRed predicts.

Kahouli et al., MLST 2024, 5, 035038; what is drawn: docs/results/morered-qm9.md.
"""

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import Field

from prerelax.campaign.data_path import DataPath
from prerelax.settings import Settings
from prerelax.studies.study import Study, StudyFigure, StudyFiles


class ScheduleStudy(Settings, Study):
    """Predicted steps while noise is removed, by a fixed and an adaptive schedule, and the RMSD after
    (paper M, figures 3b and 13). MMFF94 minima are treated as well where the set has them."""

    model: str = Field(description="a joint model: a denoiser, a shipped model, a folder")
    structures: DataPath = Field(description="npz set of minima, to which noise is added")
    molecules: int = Field(50, ge=1)
    steps: list[Annotated[int, Field(ge=1)]] = Field([30, 60, 90], description="of the noise added")
    max_iterations: int = Field(1000, ge=1)
    seed: int = 0

    def in_small(self, n: int) -> Self:
        few = {"molecules": min(n, self.molecules), "max_iterations": min(20, self.max_iterations)}
        return self.model_copy(update=few)

    def figures(self, files: StudyFiles) -> Iterator[StudyFigure]:
        yield StudyFigure(
            "schedules",
            ["schedules", "compare"],
            [*files.weights(self.model), self.structures],
            self.model_copy(update={"model": files.model(self.model)}),
            "fixed and adaptive schedule",
            "schedules/report/schedules.rst",
            category="Time steps",
            more=["_numbers.csv", "_ends.csv"],
            threads=2,
        )


class ShellStudy(Settings, Study):
    """How far noise carries a geometry in many dimensions, and the step that a network sees in it
    (paper M, figure 7)."""

    model: str = Field(description="a model that predicts the time: a denoiser, a shipped model, a folder")
    structures: DataPath = Field(description="npz set of minima, to which noise is added")
    molecules: int = Field(200, ge=1)
    points: int = Field(40, ge=2, description="steps that the model was trained on, evenly spaced")
    seed: int = 0

    def in_small(self, n: int) -> Self:
        return self.model_copy(update={"molecules": min(n, self.molecules), "points": min(5, self.points)})

    def figures(self, files: StudyFiles) -> Iterator[StudyFigure]:
        yield StudyFigure(
            "shells",
            ["schedules", "shells"],
            [*files.weights(self.model), self.structures],
            self.model_copy(update={"model": files.model(self.model)}),
            "shells of noise",
            "schedules/report/shells.rst",
            category="Time steps",
            threads=2,
        )


KEYS = {"schedules": ScheduleStudy, "shells": ShellStudy}
