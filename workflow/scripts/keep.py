"""Mark the conformers of a shard that do not go on."""

from pathlib import Path

from prerelax.starts.conformers.keeping import keep_shard

job = snakemake  # noqa: F821 (Snakemake puts it here)
keep_shard(
    Path(job.input.frames),
    Path(job.input.judged) if job.input.judged else None,
    Path(job.output.frames),
    at=job.params.at,
    window_kcal_mol=job.params.window_kcal_mol,
    rmsd_ang=job.params.rmsd_ang,
)
