rule forcefield:
    input:
        source_frames,
    output:
        frames=f"{RESULTS}/starts/{{start}}/{{shard}}.extxyz",
        table=f"{RESULTS}/starts/{{start}}/{{shard}}.parquet",
    params:
        options=start_options,
    wildcard_constraints:
        start=one_of(campaign.starts_of_kind("forcefield")),
    log:
        f"{LOGS}/forcefield/{{start}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/forcefield/{{start}}/{{shard}}.tsv"
    conda:
        "../../envs/prerelax.yaml"
    shell:
        "prerelax forcefield {input:q} {output.frames:q} {params.options:q}"
        " --start {wildcards.start} > {log:q} 2>&1"
