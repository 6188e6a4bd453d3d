"""What the study of relaxations with a known minimum is made from."""

relaxation = campaign.studies.relaxation

# Start METHOD-INPUT: what `prerelax relaxation-table` calls it.
RELAXATION_STARTS = {
    f"{method}-{name}": f"{method}:{name}"
    for name in (relaxation.inputs if relaxation else [])
    for method in relaxation.all_methods(name, campaign.starts)
}


def relaxation_shards(wildcards):
    starts = [relaxation.reference, *relaxation.inputs, *RELAXATION_STARTS]
    return [frames_of_start(start, shard) for start in starts for shard in SHARDS]


def relaxation_figures():
    """Kind and methods of every figure that is drawn from the table."""
    if not relaxation:
        return {}
    figures = {name: (name, relaxation.methods) for name in ("ratios", "bins", "sizes")}
    figures["seconds"] = ("seconds", [*relaxation.methods, *relaxation.serial])
    if relaxation.predicting:
        figures["steps"] = ("steps", relaxation.predicting)
    return figures | {
        f"bins_{name}": ("bins", methods)
        for name, methods in relaxation.comparisons.items()
    }


RELAXATION_FIGURES = relaxation_figures()


def repeat_flags(wildcards):
    methods = RELAXATION_FIGURES[wildcards.figure][1]
    return flags(
        "repeat",
        [f"{m}:{again}" for m in methods for again in relaxation.repeats.get(m, [])],
    )


ENERGY_METHODS = []
ENERGY_STARTS = {}  # start: how many of its rows are evaluated
if relaxation and relaxation.energies:
    ENERGY_METHODS = relaxation.energies.methods or relaxation.methods
    n = relaxation.energies.molecules
    of_input = [
        relaxation.energies.input,
        *(f"{m}-{relaxation.energies.input}" for m in ENERGY_METHODS),
    ]
    ENERGY_STARTS = {relaxation.reference: n} | {
        start: n * campaign.rows_of_minimum(relaxation.energies.input)
        for start in of_input
    }
CURVES = relaxation.curves if relaxation else []

STUDY_FIGURES += expand(
    f"{RESULTS}/figures/relaxation_{{name}}.png",
    name=[
        *RELAXATION_FIGURES,
        *(["energies"] if ENERGY_STARTS else []),
        *(
            f"drawings_{name}"
            for name in (
                relaxation.inputs if relaxation and relaxation.drawn_by else []
            )
        ),
    ],
)
STUDY_FIGURES += [f"{RESULTS}/figures/training_curves.png"] if CURVES else []
