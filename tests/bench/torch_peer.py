#!/usr/bin/env python3
"""PyTorch on the same network and the same work as `mendel bench`, for comparison.

    python3 tests/bench/torch_peer.py --model baseline --work train --layout nhwc [--batch 64]
        [--threads 2] [--repeat 7] [--device cpu|cuda]

Prints one JSON line: {"peer", "device", "model", "layout", "work", "batch", "threads", "median_s",
"images_per_s"}.

The network is that of tests/golden/network.py, with ReLU6 in place and dropout as an idiomatic
program would have them.  "train" is forward, loss, backward and an AdamW step, without augmentation,
drop-connect, EMA or clipping, and reads the loss as training does; "infer" is a forward pass.
Synthetic images.  On a GPU float32 means float32: TF32 is switched off.

Needs PyTorch 1.13 or newer and numpy (Debian: python3-torch).
"""
import argparse
import json
import os
import statistics
import sys
import time

import torch
import torch.nn.functional as F

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden"))
from network import Net, config, fill, is_buffer, shapes, total_loss  # noqa: E402

WARM_UP = 3
DROPOUT = 0.2


class Peer(Net):
    """The network with what only speed and memory care about."""

    def bn(self, x, name, relu=True):
        x = super().bn(x, name, relu=False)
        return F.relu6(x, inplace=True) if relu else x

    def forward(self, images):
        pooled = F.adaptive_avg_pool2d(self.features(images), 1)
        pooled = F.dropout(pooled, DROPOUT, self.training)
        if self.c["kind"] == "hybrid":
            return self.trm(pooled, self.c["n_sup"])
        return [(self.linear(pooled.flatten(1), "classifier"), None)]


def parameters(c, device, layout):
    """{name: tensor}, 4-dimensional ones in the memory format of the layout."""
    table, values, p = shapes(c), fill(c), {}
    for name, (role, shape) in table.items():
        tensor = torch.tensor(values[name].reshape(shape), dtype=torch.float32, device=device)
        if layout == "nhwc" and tensor.dim() == 4:
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        p[name] = tensor.requires_grad_(not is_buffer(role))
    return p


def median_time(step, repeat, device):
    wait = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
    times = []
    for i in range(WARM_UP + repeat):
        wait()
        start = time.perf_counter()
        step()
        wait()
        if i >= WARM_UP:
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def make_step(a):
    c = config(kind="hybrid" if a.model == "hybrid" else "efficientnet_lite0")
    p = parameters(c, a.device, a.layout)
    images = torch.randn(a.batch, 3, 32, 32, device=a.device)
    if a.layout == "nhwc":
        images = images.contiguous(memory_format=torch.channels_last)
    if a.work == "infer":
        net = Peer(c, p, False)

        def infer():
            with torch.no_grad():
                return net.forward(images)
        return infer
    labels = torch.randint(0, 10, (a.batch,), device=a.device)
    net = Peer(c, p, True)
    trained = [t for t in p.values() if t.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3)

    def train():
        optimizer.zero_grad()
        loss = total_loss(c, net.forward(images), labels)
        loss.backward()
        optimizer.step()
        return float(loss.detach())
    return train


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["baseline", "hybrid"], default="baseline")
    parser.add_argument("--work", choices=["train", "infer"], default="train")
    parser.add_argument("--layout", choices=["nhwc", "nchw"], default="nhwc")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    a = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(a.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    # A single image is fast, so its median needs more runs.
    repeat = a.repeat * (10 if a.work == "infer" and a.batch == 1 else 1)
    seconds = median_time(make_step(a), repeat, a.device)
    print(json.dumps({"peer": "torch " + torch.__version__, "device": a.device, "model": a.model,
                      "layout": a.layout, "work": a.work, "batch": a.batch, "threads": a.threads,
                      "median_s": seconds, "images_per_s": a.batch / seconds}))


if __name__ == "__main__":
    main()
