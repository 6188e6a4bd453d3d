rule embed:
    input:
        # Not its date but each shard's rows decide what is made again, so that rows can be added.
        ancient(campaign.molecule_file),
    output:
        frames=layout.start("rdkit", "{shard}"),
    log:
        f"{LOGS}/embed/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/embed/{{shard}}.tsv"
    conda:
        "../../envs/prerelax.yaml"
    params:
        rows=lambda wildcards: sharding.rows(wildcards.shard),
        digest=lambda wildcards: sharding.digest(wildcards.shard),
        settings=embedding(campaign),
    shell:
        "prerelax embed {input:q} {output.frames:q} --rows {params.rows}"
        " --settings {params.settings:q} > {log:q} 2>&1"


rule embed_again:
    input:
        source_frames,
    output:
        frames=layout.start("{start}", "{shard}"),
    log:
        f"{LOGS}/embed_again/{{start}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/embed_again/{{start}}/{{shard}}.tsv"
    wildcard_constraints:
        start=one_of(campaign.starts_of_kind("embed-again")),
    conda:
        "../../envs/prerelax.yaml"
    params:
        settings=start_settings,
    shell:
        "prerelax embed {input:q} {output.frames:q} --settings {params.settings:q}"
        " --start {wildcards.start} > {log:q} 2>&1"
