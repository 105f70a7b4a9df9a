"""The largest difference between a genome of `mendel evolve --method layers` and the same genome of mergekit's
evolve (its ModelGenome), as networks.

usage: check_genome.py MENDEL [SEEDS]      (skips, 77, without torch, safetensors or mergekit)

Parents are small MLPs, trained here on the digits; their two layers are two groups.  For each method a search finds
a genome and writes its network.  mergekit's ModelGenome makes of the same numbers its configuration, of which its own
functions make the network.  SLERP's genome there has a weight for each model, whose softmax is t: those weights are
found from our ratio.
"""
import json
import math
import os
import subprocess
import sys
import tempfile

try:
    import torch
    from mergekit.common import ModelReference
    from mergekit.evo.genome import ModelGenome, ModelGenomeDefinition
    from mergekit.merge_methods import registry
    from mergekit.merge_methods.base import (PerInputValues, TensorBatch, TensorEntry, TensorGroup)
    from safetensors.torch import load_file
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

LIMIT = 1e-5
LAYERS = ["fc1", "fc2"]
METHODS = {m.spec.name: m for m in registry.registered_methods()}
CASES = [("linear", "linear", 3, False), ("slerp", "slerp", 2, False), ("ties", "ties", 3, True),
         ("task-arithmetic", "task_arithmetic", 3, True)]
MLP = ["--set", "model.kind=mlp", "--set", "model.hidden=24", "--set", "data.size=native", "--data", "digits",
       "--threads", "1"]


def mendel(program, *arguments):
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"mendel {' '.join(arguments)}:\n{done.stderr}")


def genotype(method, groups, n):
    """[groups, models, sets of names, parameters], as mergekit has it."""
    rows = []
    for group in groups:
        if method == "slerp":
            t = min(max(group["ratio"], 1e-12), 1 - 1e-12)
            rows.append([[[0.0]], [[math.log(t / (1 - t))]]])
        else:
            parameters = [group["weights"]] + ([group["density"]] if "density" in group else [])
            rows.append([[[values[v] for values in parameters]] for v in range(n)])
    return torch.tensor(rows, dtype=torch.float64)


def theirs(name, tensors, base, piece, models, normalize):
    """One tensor by mergekit's function, as its configuration says for the slice that it belongs to."""
    given = {source.model: source.parameters or {} for source in piece.sources}
    if name == "slerp":
        first = models.index(piece.base_model)
        pair = torch.stack([tensors[first], tensors[1 - first]])[:, None]
        return METHODS[name].merge_batch(TensorBatch(tuple(pair), 0), t=torch.tensor([piece.parameters["t"]]))[0]
    weights = [given[m]["weight"] for m in models]
    if name == "linear":
        return METHODS[name].merge_batch(TensorBatch(tuple(t[None] for t in tensors)), weight=torch.tensor([weights]),
                                         normalize=normalize)[0]
    density = [given[m].get("density", 1.0) for m in models]
    entries = [TensorEntry("base", base, True)] + [TensorEntry(i, t, False) for i, t in enumerate(tensors)]
    return METHODS[name].merge_group(TensorGroup(tuple(entries)), weight=PerInputValues(tuple(enumerate(weights))),
                                     density=PerInputValues(tuple(enumerate(density))), normalize=normalize,
                                     rescale=False, int8_mask=False, **{"lambda": 1.0})


def compare(program, case, folder, seed):
    own, name, n, based = case
    paths = [os.path.join(folder, f"p{i}", "final.safetensors") for i in range(n)]
    trunk, out = os.path.join(folder, "trunk", "final.safetensors"), os.path.join(folder, f"{own}-{seed}")
    arguments = ["evolve", *paths, "--data", "digits", "--threads", "1", "--method", "layers", "--seed", str(seed),
                 "--out", out]
    for text in (f"merge.layer_method={own}", "merge.layer_granularity=1", "merge.evaluations=40",
                 "merge.keep_average=false", "merge.start_averages=false", "merge.layer_step=0.3",
                 *([f"merge.base={trunk}"] if based else [])):
        arguments += ["--set", text]
    mendel(program, *arguments)
    with open(os.path.join(out, "winner.json"), encoding="utf-8") as file:
        layers = json.load(file)["layers"]
    models = [ModelReference.parse(f"model{i}") for i in range(n)]
    genome = ModelGenome.__new__(ModelGenome)  # whose own beginning looks for a language model
    genome.definition = ModelGenomeDefinition(models=models, merge_method=name, layer_granularity=1,
                                              base_model=ModelReference.parse("base") if based else None)
    genome.num_layers = len(LAYERS)
    config = genome.genotype_merge_config(genotype(name, layers["groups"], n))
    got, base = load_file(os.path.join(out, "merged.safetensors")), load_file(trunk)
    parents, worst = [load_file(path) for path in paths], 0.0
    for key in got:
        piece = config.slices[LAYERS.index(key.split(".")[0])]
        want = theirs(name, [p[key] for p in parents], base[key], piece, models, config.parameters["normalize"])
        worst = max(worst, (got[key] - want.reshape(got[key].shape)).abs().max().item())
    return worst, layers["groups"]


def main():
    program, seeds = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        mendel(program, "train", *MLP, "--set", "train.epochs=2", "--out", os.path.join(folder, "trunk"))
        for i in range(3):
            mendel(program, "train", *MLP, "--set", "train.epochs=2", "--seed", str(i + 1), "--set",
                   f"train.init={folder}/trunk/final.safetensors", "--out", os.path.join(folder, f"p{i}"))
        print(f"{'method':20}{'largest difference':>20}  the last genome")
        for case in CASES:
            found = [compare(program, case, folder, seed) for seed in range(1, seeds + 1)]
            worst = max(difference for difference, _ in found)
            failed |= not worst <= LIMIT
            print(f"{case[0]:20}{worst:20.2e}  {json.dumps(found[-1][1])}")
    sys.exit(1 if failed else 0)


main()
