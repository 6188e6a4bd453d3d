rule forcefield:
    input:
        source_frames,
    output:
        frames=f"{RESULTS}/starts/{{start}}/{{shard}}.extxyz",
    log:
        f"{LOGS}/forcefield/{{start}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/forcefield/{{start}}/{{shard}}.tsv"
    wildcard_constraints:
        start=one_of(campaign.starts_of_kind("forcefield")),
    conda:
        "../../envs/prerelax.yaml"
    params:
        options=start_options,
    shell:
        "prerelax forcefield {input:q} {output.frames:q} {params.options:q}"
        " --start {wildcards.start} > {log:q} 2>&1"
