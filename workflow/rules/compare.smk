# The molecules that the baseline is relaxed for as well, where the campaign compares a sample.
rule sample:
    input:
        frames_that_go_on,
    output:
        frames=layout.sampled("{start}", "{shard}"),
    log:
        f"{LOGS}/sample/{{start}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/sample/{{start}}/{{shard}}.tsv"
    wildcard_constraints:
        start=campaign.baseline.start,
    localrule: True
    conda:
        "../../envs/prerelax.yaml"
    params:
        rows=lambda wildcards: sampled_of_shard(wildcards.shard),
        n_rows=lambda wildcards: sharding.shards[int(wildcards.shard)].n_rows,
        message=NOT_SAMPLED,
    script:
        "../scripts/sample.py"


rule compare:
    input:
        expand("{folder}/{shard}.extxyz", folder=RELAXED_FOLDERS, shard=SHARDS),
        expand("{folder}/{shard}.extxyz", folder=POINTS_FOLDERS, shard=SHARDS),
        kept=rules.begin.output,
    output:
        comparison=f"{RESULTS}/comparison.csv",
        summary=f"{RESULTS}/summary.csv",
    log:
        f"{LOGS}/compare.log",
    benchmark:
        f"{BENCHMARKS}/compare.tsv"
    conda:
        "../../envs/prerelax.yaml"
    params:
        folders=RELAXED_FOLDERS,
        shards=len(SHARDS),
        baseline=compared_with(campaign),
    shell:
        "prerelax compare {output.comparison:q} {params.folders:q} --shards {params.shards}"
        " --baseline {params.baseline} > {log:q} 2>&1"
