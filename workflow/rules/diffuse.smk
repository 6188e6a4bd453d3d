rule diffuse:
    input:
        frames=source_frames,
        weights=start_weights,
        known=minima_known,
    output:
        frames=layout.start("{start}", "{shard}"),
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
        settings=start_settings,
        known=lambda wildcards, input: flags("known", input.known),
    shell:
        "OMP_NUM_THREADS={threads} prerelax diffuse {input.frames:q} {output.frames:q} --settings {params.settings:q}"
        " --start {wildcards.start} --workers {threads} {params.known:q} > {log:q} 2>&1"
