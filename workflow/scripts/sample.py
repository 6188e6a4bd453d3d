"""Mark the rows of a shard that are not in a sample: of the baseline, or of what is learned from."""

from pathlib import Path

from prerelax.campaign.sample import mark_sample

job = snakemake  # noqa: F821 (Snakemake puts it here)
mark_sample(Path(job.input[0]), Path(job.output[0]), job.params.rows, job.params.n_rows, job.params.message)
