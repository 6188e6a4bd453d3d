rule figures:
    input:
        rules.compare.output.comparison,
    output:
        table=report(
            f"{RESULTS}/figures/table.html",
            caption="../report/table.rst",
            category="Summary",
        ),
    log:
        f"{LOGS}/figures.log",
    benchmark:
        f"{BENCHMARKS}/figures.tsv"
    conda:
        "../../envs/prerelax.yaml"
    params:
        folder=f"{RESULTS}/figures",
        baseline=campaign.baseline,
    shell:
        "prerelax figures {input:q} {params.folder:q} --baseline {params.baseline} > {log:q} 2>&1"
