# MoreRed's relaxations of inputs whose minimum is known: tables, and the figures from them.

relaxation = studies["relaxation"]
RELAXATION_TABLES = relaxation.tables(campaign.starts)
RELAXATION_FIGURES = relaxation.figures()
ENERGY_STARTS = relaxation.rows_evaluated(campaign)
STUDY_FIGURES += expand(
    f"{RESULTS}/figures/relaxation_{{name}}.png",
    name=[
        *RELAXATION_FIGURES,
        *(["energies"] if relaxation.energies else []),
        *(f"drawings_{n}" for n in (relaxation.inputs if relaxation.drawn_by else [])),
    ],
)
STUDY_FIGURES += [f"{RESULTS}/figures/training_curves.png"] if relaxation.curves else []


def relaxation_shards(wildcards):
    starts = RELAXATION_TABLES[wildcards.table].starts
    return [layout.start(start, shard) for start in starts for shard in SHARDS]


rule relaxation_table:
    input:
        relaxation_shards,
    output:
        f"{RESULTS}/relaxation/{{table}}.csv",
    log:
        f"{LOGS}/relaxation/table_{{table}}.log",
    benchmark:
        f"{BENCHMARKS}/relaxation/table_{{table}}.tsv"
    wildcard_constraints:
        table=one_of(RELAXATION_TABLES),
    conda:
        ENVIRONMENT
    params:
        results=subpath(output[0], ancestor=2),
        settings=lambda wildcards: as_json(RELAXATION_TABLES[wildcards.table]),
    shell:
        "prerelax study relaxation table {params.results:q} {output:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"


rule relaxation_figure:
    input:
        lambda wildcards: f"{RESULTS}/relaxation/{RELAXATION_FIGURES[wildcards.figure].table}.csv",
    output:
        report(
            f"{RESULTS}/figures/relaxation_{{figure}}.png",
            caption="report/relaxation.rst",
            category="Relaxations with a known minimum",
            labels={"figure": "{figure}"},
        ),
        multiext(
            f"{RESULTS}/figures/relaxation_{{figure}}", ".pdf", ".csv", "_numbers.csv"
        ),
    log:
        f"{LOGS}/relaxation/{{figure}}.log",
    benchmark:
        f"{BENCHMARKS}/relaxation/{{figure}}.tsv"
    wildcard_constraints:
        figure=one_of(RELAXATION_FIGURES),
    conda:
        ENVIRONMENT
    params:
        figure=subpath(output[0], strip_suffix=".png"),
        settings=lambda wildcards: as_json(
            RELAXATION_FIGURES[wildcards.figure].settings
        ),
    shell:
        "prerelax study relaxation figure {input:q} {params.figure:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"


rule relaxation_drawings:
    input:
        f"{RESULTS}/relaxation/methods.csv",
    output:
        report(
            f"{RESULTS}/figures/relaxation_drawings_{{start}}.png",
            caption="report/relaxation.rst",
            category="Relaxations with a known minimum",
            labels={"figure": "molecules, {start}"},
        ),
        multiext(
            f"{RESULTS}/figures/relaxation_drawings_{{start}}",
            ".pdf",
            ".csv",
            "_numbers.csv",
        ),
    log:
        f"{LOGS}/relaxation/drawings_{{start}}.log",
    benchmark:
        f"{BENCHMARKS}/relaxation/drawings_{{start}}.tsv"
    wildcard_constraints:
        start=one_of(relaxation.inputs),
    conda:
        ENVIRONMENT
    params:
        results=subpath(output[0], ancestor=2),
        figure=subpath(output[0], strip_suffix=".png"),
        settings=lambda wildcards: as_json(relaxation.drawing(wildcards.start)),
    shell:
        "prerelax study relaxation drawings {params.results:q} {input:q} {params.figure:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"


if relaxation.energies:

    rule method_energies:
        input:
            start_frames,
        output:
            f"{RESULTS}/relaxation_energies/{{start}}/{{shard}}.extxyz",
        log:
            f"{LOGS}/relaxation_energies/{{start}}/{{shard}}.log",
        benchmark:
            f"{BENCHMARKS}/relaxation_energies/{{start}}/{{shard}}.tsv"
        wildcard_constraints:
            start=one_of(ENERGY_STARTS),
        conda:
            ENVIRONMENT
        threads: 2
        params:
            settings=as_json(relaxation.energies.points),
            molecules=lambda wildcards: ENERGY_STARTS[wildcards.start],
        shell:
            "prerelax energies {input:q} {output:q} --settings {params.settings:q} --molecules {params.molecules}"
            " --workers {threads} --go-on-without-program > {log:q} 2>&1"

    rule relaxation_energies:
        input:
            expand(
                f"{RESULTS}/relaxation_energies/{{start}}/{{shard}}.extxyz",
                start=ENERGY_STARTS,
                shard=SHARDS[:1],
            ),
        output:
            report(
                f"{RESULTS}/figures/relaxation_energies.png",
                caption="report/relaxation.rst",
                category="Relaxations with a known minimum",
                labels={"figure": "energies above the minimum"},
            ),
            multiext(
                f"{RESULTS}/figures/relaxation_energies",
                ".pdf",
                ".csv",
                "_numbers.csv",
            ),
        log:
            f"{LOGS}/relaxation/energies.log",
        benchmark:
            f"{BENCHMARKS}/relaxation/energies.tsv"
        conda:
            ENVIRONMENT
        params:
            results=subpath(output[0], ancestor=2),
            figure=subpath(output[0], strip_suffix=".png"),
            settings=lambda wildcards: as_json(relaxation.energy_figure()),
        shell:
            "prerelax study relaxation energies {params.results:q} {params.figure:q}"
            " --settings {params.settings:q} > {log:q} 2>&1"


if relaxation.curves:

    rule training_curves:
        input:
            [layout.weights(name) for name in relaxation.curves],
        output:
            report(
                f"{RESULTS}/figures/training_curves.png",
                caption="report/relaxation.rst",
                category="Relaxations with a known minimum",
                labels={"figure": "training curves"},
            ),
            multiext(
                f"{RESULTS}/figures/training_curves", ".pdf", ".csv", "_numbers.csv"
            ),
        log:
            f"{LOGS}/relaxation/training_curves.log",
        benchmark:
            f"{BENCHMARKS}/relaxation/training_curves.tsv"
        conda:
            ENVIRONMENT
        params:
            folders=[layout.training(name) for name in relaxation.curves],
            figure=subpath(output[0], strip_suffix=".png"),
        shell:
            "prerelax study relaxation curves {params.folders:q} {params.figure:q} > {log:q} 2>&1"
