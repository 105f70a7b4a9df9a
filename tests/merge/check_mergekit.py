"""The largest difference between `mendel merge` and mergekit's own functions, method by method.

usage: check_mergekit.py MENDEL [MODELS]      (skips, 77, without torch, safetensors or mergekit)

MODELS random sets of checkpoints (default 4) with tensors of several shapes are merged by both; the
table has the largest absolute difference over all of them, in float32.  Methods that draw (DARE,
DELLA) draw in Mendel by its own generator, Philox, of which the few lines below compute the same
masks; mergekit gets these in place of its torch.bernoulli.
"""
import os
import subprocess
import sys
import tempfile

try:
    import numpy
    import torch
    from mergekit.merge_methods import registry
    from mergekit.merge_methods.base import (PerInputValues, TensorBatch, TensorEntry, TensorGroup)
    from safetensors.torch import load_file, save_file
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

LIMIT = 1e-5
SEED = 7
SHAPES = {"a.weight": (48, 96), "a.bias": (48,), "conv.weight": (16, 8, 3, 3), "one": (1,), "two": (2, 2),
          "empty": (0, 4), "wide.weight": (7, 1031), "scalar": ()}
METHODS = {m.spec.name: m for m in registry.registered_methods()}


def philox(key, stream, index):
    """The first word of Philox 4x32-10 (Salmon et al. 2011) for each of the indices, as 0 .. 1."""
    mask = numpy.uint64(0xFFFFFFFF)
    c = [index & mask, index >> numpy.uint64(32), numpy.full_like(index, stream & 0xFFFFFFFF),
         numpy.full_like(index, stream >> 32)]
    k = [key & 0xFFFFFFFF, key >> 32]
    for _ in range(10):
        p0, p1 = numpy.uint64(0xD2511F53) * c[0], numpy.uint64(0xCD9E8D57) * c[2]
        c = [(p1 >> numpy.uint64(32)) ^ c[1] ^ numpy.uint64(k[0]), p1 & mask,
             (p0 >> numpy.uint64(32)) ^ c[3] ^ numpy.uint64(k[1]), p0 & mask]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c[0].astype(numpy.float64) / 2**32


class Draws:
    """torch.bernoulli by the draws that Mendel makes: parent after parent, at the tensor's place."""

    def __init__(self):
        self.start, self.parent = 0, 0

    def __call__(self, chances, **_):
        n = chances.numel()
        index = numpy.arange(self.start, self.start + n, dtype=numpy.uint64)
        self.parent += 1
        uniform = philox(SEED, MERGE_STREAM + (self.parent << 32), index)
        return (torch.from_numpy(uniform) < chances.double().reshape(-1)).to(chances.dtype).reshape(chances.shape)


MERGE_STREAM = 5  # of src/base/base.h
DRAWS = Draws()
torch.bernoulli = DRAWS


def theirs(name, tensors, base, shared=None, each=None, weights=None, scale=None):
    """What mergekit makes of one tensor."""
    method, parameters = METHODS[name], dict(shared or {})
    if scale is not None:
        parameters["lambda"] = scale
    for key, values in {**(each or {}), **({"weight": weights} if weights else {})}.items():
        parameters[key] = PerInputValues(tuple(enumerate(values)))
    DRAWS.parent = 0
    if name == "slerp":
        return method.merge_batch(TensorBatch(tuple(t[None] for t in tensors), 0),
                                  t=torch.tensor([parameters["t"]]))[0]
    if name == "linear":
        return method.merge_batch(TensorBatch(tuple(t[None] for t in tensors)),
                                  weight=torch.tensor([weights]), normalize=parameters["normalize"])[0]
    entries = [TensorEntry("base", base, True)] if base is not None else []
    entries += [TensorEntry(i, t, False) for i, t in enumerate(tensors)]
    return method.merge_group(TensorGroup(tuple(entries)), **parameters)


def gta(**more):
    return {"int8_mask": False, "normalize": False, "rescale": False, **more}


W3, W2 = [0.2, 0.5, 0.9], [0.3, 0.9]
D3 = [0.5, 0.6, 0.75]
LIST = ",".join
T3, T2 = LIST(map(str, W3)), LIST(map(str, W2))
PD = f"merge.parameters=all density={LIST(map(str, D3))}"
# name, mendel's arguments, parents, base, mergekit's method and parameters
CASES = [
    ("linear", ["linear", f"merge.weights={T3}"], 3, False, "linear", dict(weights=W3, shared={"normalize": True})),
    ("linear, as given", ["linear", f"merge.weights={T3}", "merge.normalize=false"], 3, False, "linear",
     dict(weights=W3, shared={"normalize": False})),
    ("task_arithmetic", ["task-arithmetic", f"merge.weights={T3}"], 3, True, "task_arithmetic",
     dict(weights=W3, scale=0.7, shared=gta(), each={"density": [1.0] * 3})),
    ("slerp", ["slerp", "merge.scope=tensor"], 2, False, "slerp", dict(shared={"t": 0.3})),
    ("nuslerp", ["nuslerp", f"merge.weights={T2}"], 2, False, "nuslerp",
     dict(weights=W2, shared={"nuslerp_flatten": True, "nuslerp_row_wise": False})),
    ("nuslerp, base", ["nuslerp", f"merge.weights={T2}"], 2, True, "nuslerp",
     dict(weights=W2, shared={"nuslerp_flatten": True, "nuslerp_row_wise": False})),
    ("multislerp", ["multislerp", f"merge.weights={T3}"], 3, False, "multislerp",
     dict(weights=W3, shared={"normalize_weights": True, "eps": 1e-8})),
    ("multislerp, base", ["multislerp", f"merge.weights={T3}"], 3, True, "multislerp",
     dict(weights=W3, shared={"normalize_weights": True, "eps": 1e-8})),
    ("karcher", ["karcher"], 3, False, "karcher", dict(shared={"max_iter": 10, "tol": 1e-5})),
    ("model_stock", ["model-stock"], 3, True, "model_stock", dict(shared={"filter_wise": False})),
    ("model_stock, rows", ["model-stock", "merge.scope=row"], 3, True, "model_stock",
     dict(shared={"filter_wise": True})),
    ("ties", ["ties", f"merge.weights={T3}", PD], 3, True, "ties",
     dict(weights=W3, scale=0.7, shared=gta(normalize=True), each={"density": D3})),
    ("ties, rescale", ["ties", f"merge.weights={T3}", PD, "merge.rescale=norm"], 3, True, "ties",
     dict(weights=W3, scale=0.7, shared=gta(normalize=True, rescale=True), each={"density": D3})),
    ("ties, a negative weight", ["ties", "merge.weights=0.2,-0.5,0.9", PD], 3, True, "ties",
     dict(weights=[0.2, -0.5, 0.9], scale=0.7, shared=gta(normalize=True), each={"density": D3})),
    ("dare_linear", ["dare", f"merge.weights={T3}", PD, "merge.rescale=norm"], 3, True, "dare_linear",
     dict(weights=W3, scale=0.7, shared=gta(rescale=True), each={"density": D3})),
    ("dare_ties", ["dare-ties", f"merge.weights={T3}", PD, "merge.rescale=norm"], 3, True, "dare_ties",
     dict(weights=W3, scale=0.7, shared=gta(rescale=True), each={"density": D3})),
    ("breadcrumbs", ["breadcrumbs", f"merge.weights={T3}", PD, "merge.gamma=0.05"], 3, True, "breadcrumbs",
     dict(weights=W3, scale=0.7, shared=gta(), each={"density": D3, "gamma": [0.05] * 3})),
    ("breadcrumbs_ties", ["breadcrumbs-ties", f"merge.weights={T3}", PD, "merge.gamma=0.05"], 3, True,
     "breadcrumbs_ties", dict(weights=W3, scale=0.7, shared=gta(), each={"density": D3, "gamma": [0.05] * 3})),
    ("della", ["della", f"merge.weights={T3}", PD, "merge.rescale=norm"], 3, True, "della",
     dict(weights=W3, scale=0.7, shared=gta(normalize=True, rescale=True), each={"density": D3, "epsilon": [0.15] * 3})),
    ("della, not rescaled", ["della", f"merge.weights={T3}", PD, "merge.rescale=none"], 3, True, "della",
     dict(weights=W3, scale=0.7, shared=gta(normalize=True), each={"density": D3, "epsilon": [0.15] * 3})),
    ("della_linear", ["della-linear", f"merge.weights={T3}", PD, "merge.rescale=norm"], 3, True, "della_linear",
     dict(weights=W3, scale=0.7, shared=gta(rescale=True), each={"density": D3, "epsilon": [0.15] * 3})),
    ("sce", ["sce", "merge.parameters=all density=0.4"], 3, True, "sce",
     dict(shared={"select_topk": 0.4, "int8_mask": False})),
]


def run(mendel, folder, case, files, base):
    out = os.path.join(folder, "out.safetensors")
    method, *sets = case[1]
    command = [mendel, "merge", "--method", method, "-o", out, "--seed", str(SEED), *files]
    for text in sets:
        command += ["--set", text]
    if case[3]:
        command += ["--base", base]
    if case[5].get("scale") is not None:
        command += ["--scale", str(case[5]["scale"])]
    if method == "slerp":
        command += ["--ratio", "0.3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}:\n{done.stderr}")
    return load_file(out)


def main():
    mendel, models = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 4
    worst = {case[0]: (0.0, "") for case in CASES}
    with tempfile.TemporaryDirectory() as folder:
        for model in range(models):
            torch.manual_seed(model)
            base = {n: torch.randn(s) for n, s in SHAPES.items()}
            # from far apart to nearly the same, where slerp turns to linear
            # (closer, and more changes have one magnitude: of those at the border of what is kept we keep all, it
            # some)
            spread = 10.0 ** -(model % 3)
            parents = [{n: t + spread * torch.randn(t.shape) for n, t in base.items()} for _ in range(3)]
            names = [os.path.join(folder, f"{i}.safetensors") for i in range(4)]
            for path, tensors in zip(names, [*parents, base]):
                save_file(tensors, path)
            for case in CASES:
                got = run(mendel, folder, case, names[:case[2]], names[3])
                start = 0
                # Mendel numbers elements in the order of the file
                for name in file_order(names[0]):
                    tensors = [p[name] for p in parents[:case[2]]]
                    DRAWS.start = start
                    start += tensors[0].numel()
                    if tensors[0].numel() == 0 or skip(case, tensors[0]):
                        continue
                    want = theirs(case[4], tensors, base[name] if case[3] else None, **case[5])
                    difference = (got[name] - want.reshape(got[name].shape)).abs().max().item()
                    if not difference <= worst[case[0]][0]:
                        worst[case[0]] = (difference, f"{name} of model {model}")
    print(f"{'method':28}{'largest difference':>20}  where")
    failed = False
    for name, (difference, where) in worst.items():
        failed |= not difference <= LIMIT
        print(f"{name:28}{difference:20.2e}  {where}{'' if difference <= LIMIT else '  MORE THAN ' + str(LIMIT)}")
    sys.exit(1 if failed else 0)


def file_order(path):
    from safetensors import safe_open
    with safe_open(path, "pt") as file:
        return sorted(file.keys(), key=lambda n: offset(path, n))


def offset(path, name):
    import json
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return (header[name]["data_offsets"], name)


def skip(case, tensor):
    """Where mergekit's functions do something else, or nothing: DELLA has no chances for rows of one element; its
    Model Stock adds a small number to lengths, which shows on few elements, and takes the last dimension for rows,
    where ours are what the first one counts, a convolution's filters."""
    single = tensor.numel() == 1 or (tensor.dim() > 1 and tensor.shape[1] == 1)
    if case[4] == "model_stock":
        return tensor.numel() < 16 or ("rows" in case[0] and tensor.dim() != 2)
    return case[4].startswith("della") and single


main()
