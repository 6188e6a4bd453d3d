rule compare:
    input:
        expand("{folder}/{shard}.extxyz", folder=RELAXED_FOLDERS, shard=SHARDS),
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
