#!/usr/bin/env python3
"""Exported networks in other runtimes, against `mendel eval --predictions`.

    python3 tests/onnx/check_onnx.py build/mendel [--folder DIR] [--threads 1]

needs onnx and onnxruntime (PyPI), and uses openvino where it is there.  It makes a small set of
images in the form of CIFAR-10, trains each model for some steps, exports it with and without
preprocessing, and runs onnx's checker.  Differences are relative to the largest logit, and include
those of each supervision step, against `mendel eval --steps`:

- float64: the file's ops in double precision (onnx's own evaluator) from Mendel's reference in
  double precision.  This is whether the translation is right; at most 1e-6, for constants are float32.
- own: Mendel's float32 from its float64: what rounding alone does to this network.
- last bit: how far the logits go in double precision where each weight is changed by one unit in its
  last place, up or down (the most of three draws): what the float32 numbers of the file leave open.
- batch 1, batch 64: the runtime from Mendel, both in float32; at most 1e-4, or, where that is
  more, twice `last bit` and ten times `own`: both programs may be as far from exact as rounding takes them.

It prints a table, and ends with 1 where a limit is passed.
"""
import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile

import numpy
import onnx
import onnx.reference
import onnx.reference.op_run
import onnxruntime

try:
    import openvino
except ImportError:
    openvino = None

LIMIT, LIMIT_DOUBLE = 1e-4, 1e-6
DRAWS = 3
DOUBLE_IMAGES = 4  # onnx's evaluator is slow
DOUBLE = ["--backend", "reference", "--set", "run.precision=float64"]
IMAGES = 128
TRM = ["model.kind=hybrid", "model.width=0.5", "trm.dim=64", "trm.n_sup=2"]
MODELS = {
    "baseline": ["model.width=0.5"],
    "baseline, SAME, hidden": ["model.width=0.5", "model.padding=same", "model.stem_stride=2",
                               "model.head_hidden=32"],
    "hybrid, pooled": TRM + ["trm.tokens=pooled"],
    "hybrid, grid, MLP": TRM + ["trm.tokens=grid", "trm.mix=mlp"],
    "hybrid, grid, attention": TRM + ["trm.tokens=grid", "trm.mix=attention"],
    "hybrid, grid, MLP, one recursion": TRM + ["trm.tokens=grid", "trm.mix=mlp", "trm.n=1", "trm.t=1",
                                               "trm.n_sup=1"],
    "mlp": ["model.kind=mlp"],
}


def make_images(folder):
    """Records of CIFAR-10: patches in a colour for each class, and noise."""
    random = numpy.random.default_rng(1)
    for name, count in [("data_batch_1.bin", 1000), ("test_batch.bin", IMAGES)]:
        labels = random.integers(0, 10, count).astype(numpy.uint8)
        pixels = random.integers(0, 256, (count, 3, 32, 32)).astype(float)
        colours = random.integers(0, 256, (10, 3))
        pixels[:, :, 8:24, 8:24] = 0.5 * pixels[:, :, 8:24, 8:24] + 0.5 * colours[labels][:, :, None, None]
        pixels = pixels.astype(numpy.uint8)
        records = numpy.concatenate([labels[:, None], pixels.reshape(count, -1)], axis=1)
        records.tofile(os.path.join(folder, name))
    return pixels.transpose(0, 2, 3, 1).copy()


class Program:
    def __init__(self, path, threads, images):
        self.path, self.threads, self.images = path, threads, images

    def run(self, *arguments):
        done = subprocess.run([self.path, *arguments, "--threads", self.threads], text=True,
                              capture_output=True)
        if done.returncode != 0:
            sys.exit(f"mendel {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def train(self, folder, settings, steps=12):
        sets = [part for s in settings + [f"train.max_steps={steps}", "train.batch=64", "run.tuning=off"]
                for part in ("--set", s)]
        self.run("train", "--data", f"cifar10:{self.images}", *sets, "--out", folder)
        return os.path.join(folder, "final.safetensors")

    def logits(self, checkpoint, *more):
        out = checkpoint + ".csv"
        self.run("eval", checkpoint, "--data", f"cifar10:{self.images}", "--predictions", out, *more)
        with open(out, newline="") as file:
            rows = list(csv.DictReader(file))
        rows.sort(key=lambda row: int(row["index"]))
        return numpy.array([[float(row[f"logit_{i}"]) for i in range(10)] for row in rows])

    def last_bit(self, checkpoint, draw, *more):
        """The logits of a copy whose weights are the next larger or smaller float32 numbers."""
        path = checkpoint + ".changed.safetensors"
        with open(checkpoint, "rb") as file:
            data = bytearray(file.read())
        start = 8 + int.from_bytes(data[:8], "little")
        for name, entry in json.loads(data[8:start]).items():
            if entry.get("dtype") == "F32":
                begin, end = (start + at for at in entry["data_offsets"])
                values = numpy.frombuffer(data, numpy.float32, (end - begin) // 4, begin)
                up = numpy.random.default_rng([draw, begin]).integers(0, 2, len(values)).astype(bool)
                to = numpy.where(up, numpy.float32(numpy.inf), numpy.float32(-numpy.inf))
                data[begin:end] = numpy.nextafter(values, to).tobytes()
        with open(path, "wb") as file:
            file.write(data)
        return self.logits(path, *more, *DOUBLE)

    def export(self, checkpoint, out, *more):
        return json.loads(self.run("export", checkpoint, "-o", out, "--json", *more))


def with_onnxruntime(path):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda x: dict(zip(names, session.run(names, {"images": x})))


def with_openvino(path):
    model = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    names = [output.name for output in onnx.load(path).graph.output]
    return lambda x: {name: value.copy() for name, value in zip(names, model({"images": x}).values())}


class BatchNormalization(onnx.reference.op_run.OpRun):
    """As opset 9 to 13 describe it for inference; onnx's own mixes in the batch's statistics."""

    def _run(self, x, gamma, beta, mean, var, epsilon=None, momentum=None, training_mode=None):
        shape = (1, -1) + (1,) * (x.ndim - 2)
        factor = gamma / numpy.sqrt(var + epsilon)
        return ((x - mean.reshape(shape)) * factor.reshape(shape) + beta.reshape(shape),)


def in_double(model):
    """The same ops on float64: weights and constants are what they are in float32."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            values = onnx.numpy_helper.to_array(tensor).astype(numpy.float64)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    evaluator = onnx.reference.ReferenceEvaluator(model, new_ops=[BatchNormalization])
    names = [output.name for output in model.graph.output]
    return lambda x: dict(zip(names, evaluator.run(None, {"images": x})))


RUNTIMES = {"ONNX Runtime": with_onnxruntime, **({"OpenVINO": with_openvino} if openvino else {})}


def outputs(run, images, batch):
    parts = [run(images[i:i + batch]) for i in range(0, len(images), batch)]
    return {name: numpy.concatenate([part[name] for part in parts]) for name in parts[0]}


def difference(ours, theirs):
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    return float(numpy.abs(ours - theirs).max() / numpy.abs(ours).max())


def normalised(model, pixels):
    said = {entry.key: entry.value for entry in model.metadata_props}
    mean, std = ([float(v) for v in said[key].split()] for key in ("mendel.mean", "mendel.std"))
    assert json.loads(said.get("mendel.classes", "[]")) is not None and said["mendel.config"]
    x = (pixels / float(said["mendel.value_max"]) - mean) / std
    return x.transpose(0, 3, 1, 2)


def check(program, name, settings, pixels, folder):
    checkpoint = program.train(os.path.join(folder, name.replace(", ", "-")), settings)
    recursive = "model.kind=hybrid" in settings
    steps = 0 if not recursive else 1 if "trm.n_sup=1" in settings else 2
    wanted = {"logits": [], **{f"logits_{k + 1}": ["--steps", str(k + 1)] for k in range(steps)}}
    ours = {key: program.logits(checkpoint, *more) for key, more in wanted.items()}
    exact = {key: program.logits(checkpoint, *more, *DOUBLE) for key, more in wanted.items()}
    own = max(difference(exact[key], ours[key]) for key in ours)
    last_bit = max(difference(exact[key], program.last_bit(checkpoint, draw, *more))
                   for key, more in wanted.items() for draw in range(DRAWS))
    double, good = None, True
    for inside in (False, True):
        path = checkpoint + (".bytes.onnx" if inside else ".onnx")
        more = (["--with-preprocessing"] if inside else []) + (["--all-steps"] if recursive else [])
        facts = program.export(checkpoint, path, *more)
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        assert facts["nodes"] == len(model.graph.node) and facts["bytes"] == os.path.getsize(path)
        images = pixels if inside else normalised(model, pixels)
        if not inside:
            theirs = in_double(model)(images[:DOUBLE_IMAGES])
            double = max(difference(exact[key][:DOUBLE_IMAGES], theirs[key]) for key in exact)
            images = images.astype(numpy.float32)
        for runtime, start in RUNTIMES.items():
            run, row = start(path), []
            for batch in (1, 64):
                theirs = outputs(run, images, batch)
                assert all(f"q_{k + 1}" in theirs for k in range(steps))
                row.append(max(difference(ours[key], theirs[key]) for key in ours))
            good = good and max(row) <= max(LIMIT, min(2 * last_bit, 10 * own)) and double <= LIMIT_DOUBLE
            print(f"| {name} | {'bytes' if inside else 'floats'} | {facts['nodes']} | {double:.1e} | "
                  f"{own:.1e} | {last_bit:.1e} | {runtime} | {row[0]:.1e} | {row[1]:.1e} |", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("mendel")
    parser.add_argument("--folder", help="where files go (default: a folder that is removed)")
    parser.add_argument("--threads", default="1")
    a = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = a.folder or scratch
        os.makedirs(folder, exist_ok=True)
        pixels = make_images(folder)
        program = Program(os.path.abspath(a.mendel), a.threads, folder)
        print("| model | input | nodes | float64 | own | last bit | runtime | batch 1 | batch 64 |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
        good = [check(program, name, settings, pixels, folder) for name, settings in MODELS.items()]
    print(f"onnx {onnx.__version__}, ONNX Runtime {onnxruntime.__version__}" +
          (f", OpenVINO {openvino.__version__}" if openvino else "") +
          (": all within the limits" if all(good) else ": a limit is passed"))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
