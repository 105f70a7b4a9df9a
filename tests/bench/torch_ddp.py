#!/usr/bin/env python3
"""One rank of PyTorch's DistributedDataParallel over gloo, on the network of torch_peer.py and the
same work: forward, loss, backward with its averaged gradients, and an AdamW step.  bench/ranks.py
starts it, once for each rank, with RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT and where there are
several devices GLOO_SOCKET_IFNAME in the environment.

    python3 tests/bench/torch_ddp.py --layout nhwc --batch 64 [--threads 1] [--repeat 7] [--model baseline]

--batch is that of all ranks together.  Buffers (running statistics) are not sent, gradients are
views of the buckets: what is fastest.  The first rank prints a JSON line as torch_peer.py does.
"""
import argparse
import json

import torch
import torch.distributed

from torch_peer import Peer, config, is_buffer, median_time, parameters, shapes, total_loss


class Module(torch.nn.Module):
    def __init__(self, c, layout):
        super().__init__()
        self.c, self.roles = c, {name: role for name, (role, _) in shapes(c).items()}
        for name, tensor in parameters(c, "cpu", layout).items():
            if is_buffer(self.roles[name]):
                self.register_buffer(name.replace(".", "/"), tensor)
            else:
                self.register_parameter(name.replace(".", "/"), torch.nn.Parameter(tensor.detach()))

    def forward(self, images):
        p = {name: getattr(self, name.replace(".", "/")) for name in self.roles}
        return Peer(self.c, p, True).forward(images)


def make_step(a):
    c = config(kind="hybrid" if a.model == "hybrid" else "efficientnet_lite0")
    net = torch.nn.parallel.DistributedDataParallel(Module(c, a.layout), broadcast_buffers=False,
                                                    gradient_as_bucket_view=True)
    each = a.batch // torch.distributed.get_world_size()
    images = torch.randn(each, 3, 32, 32)
    if a.layout == "nhwc":
        images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (each,))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)

    def train():
        optimizer.zero_grad()
        loss = total_loss(c, net(images), labels)
        loss.backward()
        optimizer.step()
        return float(loss.detach())
    return train


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["baseline", "hybrid"], default="baseline")
    parser.add_argument("--layout", choices=["nhwc", "nchw"], default="nhwc")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=7)
    a = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(a.threads)
    torch.distributed.init_process_group("gloo")
    seconds = median_time(make_step(a), a.repeat, "cpu")
    if torch.distributed.get_rank() == 0:
        print(json.dumps({"peer": "torch " + torch.__version__ + ", DDP by gloo", "model": a.model,
                          "layout": a.layout, "batch": a.batch, "threads": a.threads,
                          "ranks": torch.distributed.get_world_size(), "median_s": seconds,
                          "images_per_s": a.batch / seconds}))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
