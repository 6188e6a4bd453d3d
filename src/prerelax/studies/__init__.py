"""What only the papers ask, a folder for each study: nothing else in prerelax knows of them.

A study's folder holds its config, computation, figures, command, rules of the workflow and captions of the
report. It becomes part of prerelax by its name in STUDIES. Studies do not import each other.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError, create_model

from prerelax.campaign.config import Campaign
from prerelax.campaign.section import ConfigError
from prerelax.settings import Settings, file_schema, sentences
from prerelax.studies.study import Study

STUDIES = (
    "paths",
    "alignment",
    "training",
    "outlier",
    "generation",
    "boltzmann",
    "relaxation",
    "from_noise",
    "schedules",
)
"""Folders of the studies, in the order of the command line's help."""


def load_studies(campaign: Campaign) -> dict[str, Study]:
    """The studies that a campaign asks for, by their key in the config.

    Raises ConfigError with one sentence for each thing that is wrong.
    """
    model = _model()
    try:
        settings = model.model_validate(campaign.studies)
    except ValidationError as error:
        raise ConfigError(sentences(error, model, campaign.studies, "studies")) from None
    limit = campaign.limit
    asked = {key: study for key, study in settings if study is not None}
    studies = {key: study if limit is None else study.in_small(limit) for key, study in asked.items()}
    complaints = [complaint for study in studies.values() for complaint in study.complaints(campaign)]
    if complaints:
        raise ConfigError("; ".join(complaints))
    return studies


def rule_files(studies: Mapping[str, Study]) -> list[str]:
    """The workflow's rules for these studies, in the order in which they are included."""
    folder = Path(__file__).parent
    asked = [name for name in STUDIES if any(key in studies for key in _config(name))]
    files = [folder / "shared.smk", *(folder / name / "rules.smk" for name in asked)]
    return [str(file) for file in files if asked and file.exists()]


def json_schema() -> dict[str, object]:
    """The JSON schema of a campaign config with its studies, for editors."""
    studies = _model()
    whole = create_model(
        "Campaign", __base__=Campaign, __doc__=Campaign.__doc__, studies=(studies, studies())
    )
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **file_schema(whole)}


def _model() -> type[BaseModel]:
    """The part `studies` of a campaign config: the keys of every study."""
    keys = {key: kind for name in STUDIES for key, kind in _config(name).items()}
    fields: dict[str, Any] = {key: (kind | None, None) for key, kind in keys.items()}
    return create_model("Studies", __base__=Settings, __doc__="All studies of a campaign.", **fields)


def _config(study: str) -> dict[str, type[Study]]:
    keys: dict[str, type[Study]] = import_module(f"{__name__}.{study}.config").KEYS
    return keys
