"""What the other starts are compared with, and for how many molecules that is paid."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, WithJsonSchema

from prerelax.campaign.section import Name
from prerelax.errors import UserError
from prerelax.settings import Settings

NO_BASELINE = "none"


class Baseline(Settings):
    """A start, and the target from which its relaxations are taken.

    With a target, every start at every target of the same level is compared with that one relaxation: usual
    practice, which takes another optimizer. Without one, or at other levels, with the start's relaxation at
    the same target.
    """

    start: Name = Field("mmff94", description="Start that the others are compared with")
    target: Name | None = Field(
        None, description="Target whose relaxations count for all of its level. Default: each target its own"
    )

    def __str__(self) -> str:
        return f"{self.start}@{self.target}" if self.target else self.start

    @classmethod
    def read(cls, text: str) -> Self | None:
        """The baseline in a word of the command line: `mmff94`, `mmff94@b3lyp-bfgs`, or `none`."""
        start, at, target = text.partition("@")
        try:
            named = cls(start=start, target=target if at else None)
        except ValidationError as error:
            words = f"START, START@TARGET or {NO_BASELINE}"
            raise UserError(f"baseline {text!r}: write {words}, as the campaign names them") from error
        return None if text == NO_BASELINE else named


class Sample(Settings):
    """Some of the molecules, drawn at random with the campaign's seed."""

    sample: int = Field(ge=1, description="Molecules that the baseline is relaxed for as well")


def _named(value: object) -> object:
    return {"start": value} if isinstance(value, str) else value


BaselineChoice = Annotated[
    Baseline,
    BeforeValidator(_named),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]*$"},
                {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "start": {"type": "string", "description": "Start that the others are compared with"},
                        "target": {
                            "type": "string",
                            "description": "Target whose relaxations count for all of its level",
                        },
                    },
                },
            ]
        }
    ),
]
Compared = Literal["all", "none"] | Sample
