rule diffuse:
    input:
        source_frames,
    output:
        frames=f"{RESULTS}/starts/{{start}}/{{shard}}.extxyz",
        table=f"{RESULTS}/starts/{{start}}/{{shard}}.parquet",
    log:
        f"{LOGS}/diffuse/{{start}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/diffuse/{{start}}/{{shard}}.tsv"
    wildcard_constraints:
        start=one_of(campaign.starts_of_kind("diffuse")),
    conda:
        "../../envs/prerelax.yaml"
    threads: 2
    params:
        options=start_options,
    shell:
        "OMP_NUM_THREADS={threads} prerelax diffuse {input:q} {output.frames:q} {params.options:q}"
        " --start {wildcards.start} > {log:q} 2>&1"
