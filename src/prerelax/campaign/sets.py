"""The section `sets` of a campaign's config: training data that the campaign makes itself."""

from typing import Self

from pydantic import Field, model_validator

from prerelax.campaign.data_path import DataPath
from prerelax.campaign.levels import KnownLevel, KnownRelaxation
from prerelax.campaign.section import Name
from prerelax.relaxation.settings import Only, Relaxation
from prerelax.set_making.options import LIKE_QM7X, DisplacementOptions


class TrainingSet(KnownRelaxation):
    """Data for trainings, made by the campaign: minima, with `labels` their displacements too.

    No molecule of the campaign's own `molecules`, by its graph, is in it.
    """

    molecules: DataPath | None = Field(None, description="Molecules to relax; or else `from`")
    every: int = Field(1, ge=1, description="Keep every N-th molecule")
    from_: Name | None = Field(None, alias="from", description="Another set, whose minima are relaxed again")
    displacements: int = Field(100, ge=1, description="Displacements of every minimum, where it has labels")
    labels: KnownLevel | None = Field(
        None, description="Displace the minima, and evaluate energies and forces at this level"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.molecules is None) == (self.from_ is None):
            raise ValueError("give either molecules or from")
        return self

    def displacing(self, displacements: int | None = None) -> DisplacementOptions:
        """How this set's minima, or other molecules in the same way, are displaced and labelled."""
        assert self.labels is not None
        minima = Relaxation(
            **self.level.model_dump(),
            fmax=self.fmax,
            convergence=self.convergence,
            timeout_s=self.timeout_s,
            only=LIKE_QM7X if self.only == Only() else self.only,
        )
        made = self.displacements if displacements is None else displacements
        return DisplacementOptions(minima=minima, labels=self.labels, displacements=made)
