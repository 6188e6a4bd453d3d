FIGURES = ["steps_vs_steps", "start_energies", "speedup", "wall_time"]


rule comparison_figures:
    input:
        rules.compare.output.comparison,
    output:
        [
            report(
                f"{RESULTS}/figures/{name}.png",
                caption=f"../report/{name}.rst",
                category="Figures",
                labels={"figure": name.replace("_", " ")},
            )
            for name in FIGURES
        ],
        expand(
            f"{RESULTS}/figures/{{name}}.{{kind}}", name=FIGURES, kind=["pdf", "csv"]
        ),
        report(
            f"{RESULTS}/figures/table.html",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "summary of every start"},
        ),
        f"{RESULTS}/figures/table.csv",
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


rule figures:
    input:
        rules.comparison_figures.output if campaign.targets else [],
        STUDY_FIGURES,
