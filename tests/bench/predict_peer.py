"""A DataLoader loop over the same files and weights: predict_peer.py CHECKPOINT FOLDER BATCH OURS.

OURS: what `mendel predict --top 2 --json` printed.  Prints images a second, of the second of two
passes, and the largest difference of a probability.
"""
import json
import os
import sys
import time

import timm
import torch
import torchvision
from safetensors import safe_open
from torchvision import transforms


def load(path):
    with safe_open(path, "pt") as file:
        names = json.loads(file.metadata()["mendel.classes"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}
        mean = [float(x) for x in file.metadata()["mendel.mean"].split()]
        std = [float(x) for x in file.metadata()["mendel.std"].split()]
    model = timm.create_model("efficientnet_lite0", num_classes=len(names))
    model.load_state_dict(tensors, strict=False)
    return model.eval(), names, mean, std


def main(checkpoint, folder, batch, ours):
    model, names, mean, std = load(checkpoint)
    prepare = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224),
                                  transforms.ToTensor(), transforms.Normalize(mean, std)])
    data = torchvision.datasets.ImageFolder(folder, prepare)
    loader = torch.utils.data.DataLoader(data, batch_size=int(batch),
                                         num_workers=os.cpu_count() or 1)
    rows = []
    with torch.inference_mode():
        for _ in range(2):
            rows, begun = [], time.perf_counter()
            for images, _ in loader:
                rows.append(model(images).softmax(1))
            seconds = time.perf_counter() - begun
    print(f"DataLoader loop  {len(data) / seconds:7.1f} images/s")
    theirs = {os.path.normpath(path): row for (path, _), row in zip(data.samples, torch.cat(rows))}
    worst = 0.0
    for line in open(ours):
        one = json.loads(line)
        row = theirs[os.path.normpath(one["file"])]
        for entry in one["classes"]:
            worst = max(worst, abs(entry["probability"] - float(row[names.index(entry["name"])])))
    print(f"largest difference of a probability: {worst:.2e}")


if __name__ == "__main__":
    main(*sys.argv[1:])
