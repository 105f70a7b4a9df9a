#!/usr/bin/env python3
"""A checkpoint that Mendel trained, read by timm as the README shows it.

    python3 tests/checkpoint/check_timm.py build/mendel

trains EfficientNet-Lite0 for some steps on the embedded digits, loads final.safetensors into timm,
and compares logits.  It prints the largest difference, relative to the largest logit of the image;
more than 1e-4 is a failure.  Without torch, timm, safetensors or PyYAML it ends with 77 (skipped).
"""
import os
import pathlib
import subprocess
import sys
import tempfile

LIMIT = 1e-4
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python"))

try:
    import numpy
    import safetensors
    import timm
    import torch
    import yaml
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)
if len(sys.argv) != 2:
    sys.exit(__doc__)


def in_timm(path):
    """The model, and what normalises its images, from the file alone."""
    with safetensors.safe_open(path, "pt") as file:
        meta = file.metadata()
    config = yaml.safe_load(meta["mendel.config"])["model"]
    model = timm.create_model("efficientnet_lite0", num_classes=config["classes"], bn_eps=config["bn_eps"],
                              checkpoint_path=path).eval()
    model.conv_stem.stride = (config["stem_stride"], config["stem_stride"])
    mean, std = ([float(x) for x in meta[f"mendel.{key}"].split()] for key in ("mean", "std"))
    return model, float(meta["mendel.value_max"]), torch.tensor(mean), torch.tensor(std)


def main():
    import mendel
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([os.path.abspath(sys.argv[1]), "train", "--data", "digits", "--set", "data.limit=128",
                        "--set", "train.max_steps=8", "--set", "train.batch=16", "--out", "run"],
                       cwd=folder, check=True, stdout=subprocess.DEVNULL)
        path = os.path.join(folder, "run", "final.safetensors")
        model, full, mean, std = in_timm(path)
        with mendel.Predictor(path) as predictor:
            height, width, channels = predictor.shape[:3]
            images = numpy.random.default_rng(1).integers(0, int(full) + 1, (64, height, width, channels), numpy.uint8)
            got = predictor.logits(images)
        with torch.no_grad():
            expected = model(((torch.from_numpy(images) / full - mean) / std).permute(0, 3, 1, 2).float()).numpy()
    difference = (numpy.abs(got - expected).max(1) / numpy.abs(expected).max(1)).max()
    print(f"timm with Mendel's checkpoint: largest relative difference of {len(images)} images {difference:.1e}")
    return 0 if difference <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
