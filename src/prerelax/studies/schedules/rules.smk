# The time steps that MoreRed's networks predict.

STUDY_FIGURES += expand(
    f"{RESULTS}/figures/{{key}}.png",
    key=[key for key in ("schedules", "shells") if key in studies],
)


def schedule_settings(key):
    """Settings of a figure with the model's folder where the campaign trains it."""
    model = folder_if_trained(studies[key].model)
    return as_json(studies[key].model_copy(update={"model": model}))


if "schedules" in studies:

    rule schedules:
        input:
            weights=weights_if_trained(studies["schedules"].model),
            structures=studies["schedules"].structures,
        output:
            report(
                f"{RESULTS}/figures/schedules.png",
                caption="report/schedules.rst",
                category="Time steps",
                labels={"figure": "fixed and adaptive schedule"},
            ),
            multiext(
                f"{RESULTS}/figures/schedules",
                ".pdf",
                ".csv",
                "_numbers.csv",
                "_ends.csv",
            ),
        log:
            f"{LOGS}/schedules.log",
        benchmark:
            f"{BENCHMARKS}/schedules.tsv"
        conda:
            ENVIRONMENT
        threads: 2
        params:
            figure=subpath(output[0], strip_suffix=".png"),
            settings=lambda wildcards: schedule_settings("schedules"),
        shell:
            "OMP_NUM_THREADS={threads} prerelax study schedules compare {params.figure:q}"
            " --settings {params.settings:q} > {log:q} 2>&1"


if "shells" in studies:

    rule shells:
        input:
            weights=weights_if_trained(studies["shells"].model),
            structures=studies["shells"].structures,
        output:
            report(
                f"{RESULTS}/figures/shells.png",
                caption="report/shells.rst",
                category="Time steps",
                labels={"figure": "shells of noise"},
            ),
            multiext(f"{RESULTS}/figures/shells", ".pdf", ".csv", "_numbers.csv"),
        log:
            f"{LOGS}/shells.log",
        benchmark:
            f"{BENCHMARKS}/shells.tsv"
        conda:
            ENVIRONMENT
        threads: 2
        params:
            figure=subpath(output[0], strip_suffix=".png"),
            settings=lambda wildcards: schedule_settings("shells"),
        shell:
            "OMP_NUM_THREADS={threads} prerelax study schedules shells {params.figure:q}"
            " --settings {params.settings:q} > {log:q} 2>&1"
