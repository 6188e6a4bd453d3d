# The config and the shards that the campaign runs with, kept for people and for later calls of Snakemake; jobs
# do not read them. Not an `onstart`, which Snakemake leaves out of modules. Nothing before `compare` depends on
# it: a new line in the config must not make finished work old. shards.csv is no output, for Snakemake deletes
# outputs before it makes them again, and the shards in it must last.
rule begin:
    output:
        f"{RESULTS}/campaign.yaml",
    log:
        f"{LOGS}/begin.log",
    benchmark:
        f"{BENCHMARKS}/begin.tsv"
    priority: 100
    localrule: True
    conda:
        "../../envs/prerelax.yaml"
    params:
        config=lambda wildcards: config,
        shards=lambda wildcards: sharding.text,
    script:
        "../scripts/begin.py"
