"""Keep what a campaign runs with: its config and its shards, as the main process of Snakemake read them."""

from pathlib import Path

from prerelax.campaign.provenance import keep_config
from prerelax.campaign.sharding import SHARDS_FILE
from prerelax.records.atomic_write import write_text_atomically

job = snakemake  # noqa: F821 (Snakemake puts it here)
kept = Path(job.output[0])
write_text_atomically(kept.parent / SHARDS_FILE, job.params.shards)
keep_config(job.params.config, kept)
