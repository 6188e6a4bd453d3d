"""What trainings are made from, and what inputs of known minima are."""

sets_with_labels = [name for name, made in campaign.sets.items() if made.labels]
sets_of_minima = [name for name in campaign.sets if name not in sets_with_labels]
sets_of_molecules = [name for name, made in campaign.sets.items() if made.molecules]


def set_file(name):
    return f"{RESULTS}/sets/{name}.npz"


def molecules_of_set(wildcards):
    """The molecules themselves, or another set's minima."""
    source = campaign.sets[wildcards.set].from_
    folder, name = (
        (wildcards.set, "molecules") if source is None else (source, "minima")
    )
    return f"{RESULTS}/sets/{folder}/{name}.extxyz"


def trained_on(config):
    """The sets and the models of this campaign that a training begins with."""
    training = read_config(Path(config))
    made = {set_file(name): set_file(name) for name in campaign.sets}
    made |= {
        str(Path(weights_of(name)).parent): weights_of(name)
        for name in campaign.denoisers
    }
    named = [training.data.path, training.weights]
    return [made[path] for path in named if path in made]


def displaced_options(wildcards):
    start = campaign.starts[wildcards.start]
    return displacing_options(campaign.sets[start.set], start.displacements)


def set_of_displaced(wildcards):
    """The set that a start's displacements come from: given, or made of the molecules of the shard."""
    given = campaign.starts[wildcards.start].set
    if given in campaign.sets:
        return f"{RESULTS}/displaced/{wildcards.start}/{wildcards.shard}.npz"
    return expand_path(given)
