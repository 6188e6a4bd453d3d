FIGURES = ["steps_vs_steps", "start_energies", "speedup", "wall_time"]


rule comparison_figures:
    input:
        rules.compare.output.comparison,
    output:
        expand(
            f"{RESULTS}/figures/{{name}}.{{kind}}",
            name=FIGURES,
            kind=["png", "pdf", "csv"],
        ),
        expand(f"{RESULTS}/figures/table.{{kind}}", kind=["html", "csv"]),
    log:
        f"{LOGS}/figures.log",
    benchmark:
        f"{BENCHMARKS}/comparison_figures.tsv"
    conda:
        "../../envs/prerelax.yaml"
    params:
        folder=subpath(output[0], parent=True),
        baseline=campaign.baseline.start,
    shell:
        "prerelax figures {input:q} {params.folder:q} --baseline {params.baseline} > {log:q} 2>&1"


# The page that people read. `snakemake --report` makes another one, of how it came about, which links this one.
rule page:
    input:
        rules.compare.output.comparison,
        kept=rules.begin.output,
    output:
        report(
            f"{RESULTS}/report.html", caption="../report/page.rst", category="Report"
        ),
    log:
        f"{LOGS}/page.log",
    benchmark:
        f"{BENCHMARKS}/page.tsv"
    conda:
        "../../envs/prerelax.yaml"
    params:
        results=subpath(output[0], parent=True),
    shell:
        "prerelax report {params.results:q} {output:q} > {log:q} 2>&1"


rule figures:
    input:
        [rules.comparison_figures.output, rules.page.output] if campaign.targets else [],
        STUDY_FIGURES,
