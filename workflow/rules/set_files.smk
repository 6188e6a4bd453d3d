"""What trainings are made from, what pilots are, and what inputs of known minima are."""

sets_with_labels = [name for name, made in campaign.sets.items() if made.labels]
sets_of_minima = [name for name in campaign.sets if name not in sets_with_labels]
sets_of_molecules = [name for name, made in campaign.sets.items() if made.molecules]


def molecules_of_set(wildcards):
    """The molecules themselves, or another set's minima."""
    source = campaign.sets[wildcards.set].from_
    folder, name = (
        (wildcards.set, "molecules") if source is None else (source, "minima")
    )
    return layout.set_shard(folder, name)


def trained_on(wildcards):
    """All that a training reads: its data, the molecules that it leaves out, a model of this campaign.

    A dry run names what of it is missing. Data that are only newer train nothing again: hours are at stake,
    and what is read of them is in the settings.
    """
    said = campaign.denoisers[wildcards.denoiser]
    made = [layout.set(said.data.set)] if said.data.set else []
    made += [
        layout.weights(name) for name in campaign.denoisers if name == said.weights
    ]
    data = map(str, training(campaign, wildcards.denoiser).data.files)
    return made + [ancient(path) for path in data if path not in made]


def training_settings(wildcards):
    return training(campaign, wildcards.denoiser).to_json()


def displaced_settings(wildcards):
    start = campaign.starts[wildcards.start]
    return displacing(campaign, start.set, start.displacements)


def set_of_displaced(wildcards):
    """The set that a start's displacements come from: given, or made of the molecules of the shard."""
    given = campaign.starts[wildcards.start].set
    if given in campaign.sets:
        return layout.displacements(wildcards.start, wildcards.shard)
    return expand_path(given)


def shards_of_pilot(wildcards):
    """Molecules that the fragments are cut from: of shards evenly spread over all, at most this many."""
    step = -(-len(SHARDS) // 20)
    return expand(layout.start("rdkit", "{shard}"), shard=SHARDS[::step])


def adapting(wildcards):
    return campaign.starts[wildcards.start].adapt


def parts_of_pilot(wildcards):
    return [str(part) for part in range(adapting(wildcards).n_jobs)]


def settings_of_pilot(wildcards):
    target = campaign.targets[adapting(wildcards).target]
    return relaxing(campaign, layout, target.model_copy(update={"only": Only()}))


def minutes_of_pilot(wildcards):
    """Fragments are small, but at DFT their target may be any."""
    return 60 if adapting(wildcards).target in targets_of(cheap=True) else 1440


def base_weights(wildcards):
    start = campaign.starts[wildcards.start]
    return [layout.weights(name) for name in campaign.denoisers if name == start.model]
