rule embed:
    input:
        campaign.molecules,
    output:
        frames=f"{RESULTS}/molecules/{{shard}}.extxyz",
        table=f"{RESULTS}/molecules/{{shard}}.parquet",
    log:
        f"{LOGS}/embed/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/embed/{{shard}}.tsv"
    conda:
        "../../envs/prerelax.yaml"
    params:
        rows=lambda wildcards: rows_of(wildcards.shard),
        conformers=campaign.conformers,
        seed=campaign.seed,
    shell:
        "prerelax embed {input:q} {output.frames:q} --rows {params.rows}"
        " --conformers {params.conformers} --seed {params.seed} > {log:q} 2>&1"
