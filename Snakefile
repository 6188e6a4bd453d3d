"""The campaign: molecules -> starts -> relaxations at the targets -> comparison -> figures."""

import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

from prerelax.campaign.config import (
    displacing_options,
    engine_options,
    level_options,
    load_campaign,
    options,
)
from prerelax.errors import UserError
from prerelax.campaign.provenance import config_of_running_campaign, keep_config
from prerelax.campaign.requests import read_requests
from prerelax.campaign.sharding import Sharding
from prerelax.studies import load_studies
from prerelax.training.config import expand_path, read_config

min_version("9.0")

# Snakemake merges config files deeply: the example's starts would leak into every other campaign.
if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


# Jobs find `prerelax` beside the interpreter that runs Snakemake, activated or not.
shell.prefix(f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")

try:
    campaign = load_campaign(config)
    RESULTS = f"results/{campaign.campaign}"
    if not workflow.is_main_process:
        campaign = load_campaign(config_of_running_campaign(config, Path(RESULTS)))
    studies = load_studies(campaign)
    sharding = Sharding(
        campaign.molecules,
        campaign.shard_size,
        Path(RESULTS),
        not workflow.is_main_process,
    )
    SHARDS = sharding.names
    requests = read_requests(Path(RESULTS))
except UserError as error:
    raise WorkflowError(str(error)) from None

requests.replace_profile(workflow.resource_settings.overwrite_resources)


onstart:
    if workflow.is_main_process:
        keep_config(config, Path(RESULTS))
        sharding.save()


report: "workflow/report/campaign.rst"


include: "workflow/rules/files.smk"
include: "workflow/rules/from_noise_files.smk"
include: "workflow/rules/study_files.smk"
include: "workflow/rules/set_files.smk"
include: "workflow/rules/relaxation_files.smk"
include: "workflow/rules/embed.smk"
include: "workflow/rules/sets.smk"
include: "workflow/rules/forcefield.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/diffuse.smk"
include: "workflow/rules/relax.smk"
include: "workflow/rules/compare.smk"
include: "workflow/rules/paths.smk"
include: "workflow/rules/training_speedup.smk"
include: "workflow/rules/relaxation.smk"
include: "workflow/rules/generate.smk"
include: "workflow/rules/from_noise.smk"
include: "workflow/rules/boltzmann.smk"
include: "workflow/rules/figures.smk"


rule all:
    default_target: True
    input:
        rules.compare.output if campaign.targets else [],
        rules.figures.input,
