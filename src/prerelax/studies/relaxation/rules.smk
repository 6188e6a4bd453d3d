# MoreRed's relaxations of inputs whose minimum is known: tables, and energies.

relaxation = studies["relaxation"]
RELAXATION_TABLES = relaxation.tables(campaign.starts)
ENERGY_STARTS = relaxation.rows_evaluated(campaign)


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
