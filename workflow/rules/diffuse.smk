rule diffuse:
    input:
        frames=source_frames,
        weights=trained_weights,
    output:
        frames=f"{RESULTS}/starts/{{start}}/{{shard}}.extxyz",
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
        model=model_of,
        time_model=time_model_options,
    shell:
        "OMP_NUM_THREADS={threads} prerelax diffuse {input.frames:q} {output.frames:q} {params.options:q}"
        " --model {params.model:q} {params.time_model:q} --start {wildcards.start} --workers {threads} > {log:q} 2>&1"
