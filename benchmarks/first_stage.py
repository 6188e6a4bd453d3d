"""The first network of a shipped relaxer of two stages, as a model folder of its own.

    .venv/bin/python benchmarks/first_stage.py relaxer-drugs-small results/models/relaxer-drugs-stage1

The paper's sampler, many small steps, needs one network; `config/short/edm-drugs-mini.yaml` uses this one, to
save the half hour of its training.
"""

import argparse
from pathlib import Path

import yaml
from safetensors.numpy import load_file, save_file

PREFIX = "stages.0."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="of the folder models/")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    model = Path("models") / arguments.model
    config = yaml.safe_load((model / "config.yaml").read_text())
    weights = load_file(model / "weights.safetensors")
    first = {name.removeprefix(PREFIX): w for name, w in weights.items() if name.startswith(PREFIX)}
    config["network"] = config["network"]["stage"]
    config["sampler"] = {"name": "edm", "steps": 50}
    config["training"] = config["training"]["stages"][0]
    arguments.folder.mkdir(parents=True, exist_ok=True)
    save_file(first, arguments.folder / "weights.safetensors")
    (arguments.folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    front = (model / "card.md").read_text().split("---")[1]
    (arguments.folder / "card.md").write_text(f"---{front}---\nThe first stage of {arguments.model}\n")
    print(f"{arguments.folder}: {len(first)} arrays")


if __name__ == "__main__":
    main()
