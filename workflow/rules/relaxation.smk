# MoreRed's relaxations of inputs whose minimum is known: tables, and the figures from them.


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
        "../../envs/prerelax.yaml"
    params:
        results=subpath(output[0], ancestor=2),
        reference=relaxation.reference if relaxation else "",
        starts=lambda wildcards: flags(
            "start", [":".join(pair) for pair in RELAXATION_TABLES[wildcards.table]]
        ),
    shell:
        "prerelax relaxation-table {params.results:q} {output:q} --reference {params.reference}"
        " {params.starts} > {log:q} 2>&1"


rule relaxation_figure:
    input:
        lambda wildcards: f"{RESULTS}/relaxation/{RELAXATION_FIGURES[wildcards.figure][1]}.csv",
    output:
        report(
            f"{RESULTS}/figures/relaxation_{{figure}}.png",
            caption="../report/relaxation.rst",
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
        "../../envs/prerelax.yaml"
    params:
        kind=lambda wildcards: RELAXATION_FIGURES[wildcards.figure][0],
        methods=lambda wildcards: flags(
            "method", RELAXATION_FIGURES[wildcards.figure][2]
        ),
        repeats=repeat_flags,
        serial=serial_flags,
        figure=subpath(output[0], strip_suffix=".png"),
    shell:
        "prerelax relaxation-figure {params.kind} {input:q} {params.figure:q} {params.methods}"
        " {params.repeats} {params.serial} > {log:q} 2>&1"


rule relaxation_drawings:
    input:
        f"{RESULTS}/relaxation/methods.csv",
    output:
        report(
            f"{RESULTS}/figures/relaxation_drawings_{{start}}.png",
            caption="../report/relaxation.rst",
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
        start=one_of(relaxation.inputs if relaxation else []),
    conda:
        "../../envs/prerelax.yaml"
    params:
        results=subpath(output[0], ancestor=2),
        reference=relaxation.reference if relaxation else "",
        methods=flags("method", relaxation.methods if relaxation else []),
        by=relaxation.drawn_by if relaxation else "",
        figure=subpath(output[0], strip_suffix=".png"),
    shell:
        "prerelax relaxation-drawings {params.results:q} {input:q} {params.figure:q} --reference {params.reference}"
        " --input {wildcards.start} {params.methods} --by {params.by} > {log:q} 2>&1"


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
        "../../envs/prerelax.yaml"
    threads: 2
    params:
        options=relaxation.energies.options() if ENERGY_STARTS else [],
        molecules=lambda wildcards: ENERGY_STARTS[wildcards.start],
    shell:
        "prerelax energies {input:q} {output:q} {params.options:q} --molecules {params.molecules}"
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
            caption="../report/relaxation.rst",
            category="Relaxations with a known minimum",
            labels={"figure": "energies above the minimum"},
        ),
        multiext(
            f"{RESULTS}/figures/relaxation_energies", ".pdf", ".csv", "_numbers.csv"
        ),
    log:
        f"{LOGS}/relaxation/energies.log",
    benchmark:
        f"{BENCHMARKS}/relaxation/energies.tsv"
    conda:
        "../../envs/prerelax.yaml"
    params:
        results=subpath(output[0], ancestor=2),
        reference=relaxation.reference if relaxation else "",
        start=relaxation.energies.input if ENERGY_STARTS else "",
        methods=flags("method", ENERGY_METHODS),
        level=relaxation.energies.name if ENERGY_STARTS else "",
        figure=subpath(output[0], strip_suffix=".png"),
    shell:
        "prerelax relaxation-energies {params.results:q} {params.figure:q} --reference {params.reference}"
        " --input {params.start} {params.methods} --level {params.level:q} > {log:q} 2>&1"


rule training_curves:
    input:
        [weights_of(name) for name in CURVES],
    output:
        report(
            f"{RESULTS}/figures/training_curves.png",
            caption="../report/relaxation.rst",
            category="Relaxations with a known minimum",
            labels={"figure": "training curves"},
        ),
        multiext(f"{RESULTS}/figures/training_curves", ".pdf", ".csv", "_numbers.csv"),
    log:
        f"{LOGS}/relaxation/training_curves.log",
    benchmark:
        f"{BENCHMARKS}/relaxation/training_curves.tsv"
    conda:
        "../../envs/prerelax.yaml"
    params:
        folders=[str(Path(weights_of(name)).parent.parent) for name in CURVES],
        figure=subpath(output[0], strip_suffix=".png"),
    shell:
        "prerelax training-curves {params.figure:q} {params.folders:q} > {log:q} 2>&1"
