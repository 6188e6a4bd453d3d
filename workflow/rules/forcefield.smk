rule forcefield:
    input:
        source_frames,
    output:
        frames=layout.start("{start}", "{shard}"),
    log:
        f"{LOGS}/forcefield/{{start}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/forcefield/{{start}}/{{shard}}.tsv"
    wildcard_constraints:
        start=one_of(campaign.starts_of_kind("forcefield")),
    conda:
        "../../envs/prerelax.yaml"
    params:
        settings=start_settings,
    shell:
        "prerelax forcefield {input:q} {output.frames:q} --settings {params.settings:q}"
        " --start {wildcards.start} > {log:q} 2>&1"
