#!/usr/bin/env python3
"""How fast training over two ranks is, on a machine with two cores that does nothing else.

    python3 tests/bench/ranks.py speed   build/mendel [OPTION...]
    python3 tests/bench/ranks.py network build/mendel [OPTION...]      (root, Linux)
    python3 tests/bench/ranks.py ddp     build/mendel --python PYTHON-WITH-TORCH [OPTION...]

speed    two ranks with a thread each against one process with two threads: images a second of whole
         trainings (loader, optimizer and all), and the ratio of their medians (wanted: 0.95).
network  two ranks, each on a host of its own (bench/hosts.py), over lines of --lines, with
         comm.overlap and without, beside what `mendel plan --ranks` foresees (wanted: within 20 %).
ddp      the same and PyTorch's DistributedDataParallel over gloo (bench/torch_ddp.py, the faster of
         NHWC and NCHW) on the same hosts and lines, and on one host (wanted: 2.5 times).

The lines of a table are measured in turn in each of --rounds, so that what else the machine does meets
all of them; a figure is the median over the rounds.  A training's rate is that of its second epoch.
Exit codes: 0, also where a figure is not as wanted; 77: something that it needs is not here.
"""
import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile

from hosts import ADDRESSES, Hosts, Unavailable

HERE = os.path.dirname(os.path.abspath(__file__))
os.environ.update({"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMP_NUM_THREADS": "1",
                   "OMPI_MCA_mpi_yield_when_idle": "1", "OMPI_MCA_btl_base_warn_component_unused": "0",
                   "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore"})
UNITS = {"Gb/s": 1e9, "Mb/s": 1e6}


def skip(why):
    print(f"skipped: {why}", file=sys.stderr)
    sys.exit(77)


def run(words, **more):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          stdin=subprocess.DEVNULL, **more)
    if done.returncode != 0:
        sys.exit(f"exit {done.returncode}: {' '.join(words)}\n{done.stderr[-2000:]}")
    return done.stdout


def progress(text):
    print(f"\r{text:70}", end="", file=sys.stderr, flush=True)


# ---- Mendel -----------------------------------------------------------------------------------------

def sets(**keys):
    return [word for key, value in keys.items() for word in ("--set", f"{key.replace('__', '.')}={value}")]


def recipe(a, batch, shards):
    """Options that training and plan have in common."""
    small = sets(model__width=0.25, model__depth=0.2) if a.small else []
    return [*sets(train__batch=batch, train__shards=shards, model__kind=a.kind), *small,
            "--data", f"synthetic:{batch * a.steps * 10 // 9 + 10}"]


def train(a, before, batch, shards, threads, settings=()):
    """Images a second of a training that the words `before` start."""
    with tempfile.TemporaryDirectory(prefix="mendel-ranks-") as folder:
        run([*before, a.mendel, "train", *recipe(a, batch, shards), *sets(train__epochs=2, train__evaluate_every=0),
             *settings, "--threads", str(threads), "--out", f"{folder}/run"],
            env={**os.environ, "XDG_CACHE_HOME": f"{folder}/cache"})
        with open(f"{folder}/run/metrics.jsonl") as file:
            return json.loads(file.readlines()[-1])["images_per_second"]


def has_overlap(a):
    return "comm.overlap" in run([a.mendel, "help", "keys"])


def plan(a, line, batch, settings=()):
    """What `mendel plan` foresees of a step of two ranks: its members."""
    speed, delay = line
    words = [a.mendel, "plan", *recipe(a, batch, 2), *settings, "--threads", "1", "--ranks", "2", "--json", "--network"]
    said = run([*words, f"{1e-9 * speed:g}Gb/s,{1e3 * delay:g}ms"])
    return json.loads(said.splitlines()[-1])  # behind what it says of memory


def on_one_host(a):
    if a.library == "mpich":
        return [a.mpirun, "-n", "2"]
    return [a.mpirun, "-n", "2", "--map-by", ":OVERSUBSCRIBE"]


# ---- tables -----------------------------------------------------------------------------------------

def measure(a, cases):
    """{name: [a figure of each round]}; cases: {name: function}."""
    figures = {name: [] for name in cases}
    for number in range(a.rounds):
        for name, case in cases.items():
            progress(f"round {number + 1} of {a.rounds}: {name}")
            figures[name].append(case())
    progress("")
    print("\r", end="", file=sys.stderr)
    if a.save:
        with open(a.save, "a") as file:
            file.write(json.dumps({"command": a.command, "figures": {str(k): v for k, v in figures.items()}}) + "\n")
    return figures


def speed(a):
    cases = {}
    for batch in a.batches:
        def one(batch=batch):
            return train(a, [], batch, 1, 2)

        def shards(batch=batch):
            return train(a, [], batch, 2, 2)

        def ranks(batch=batch):
            return train(a, on_one_host(a), batch, 2, 1)
        cases |= {(batch, "one"): one, (batch, "shards"): shards, (batch, "ranks"): ranks}
    got = {name: statistics.median(v) for name, v in measure(a, cases).items()}
    print(f"{a.kind}, {a.library}: images/s\n{'batch':>6} {'1 process':>10} {'2 shards':>10} {'2 ranks':>10} "
          f"{'ratio':>7} {'to shards':>10}")
    for batch in a.batches:
        one, shards, ranks = (got[batch, side] for side in ("one", "shards", "ranks"))
        print(f"{batch:6} {one:10.1f} {shards:10.1f} {ranks:10.1f} {ranks / one:7.3f} {ranks / shards:10.3f}")


def network(a):
    modes = ["true", "false"] if has_overlap(a) else [None]
    print(f"{a.kind}, Open MPI: a step of two ranks with a thread each on two hosts, and the relay's time in it, ms\n"
          f"(lines: rate and delay each way, and what makes it)\n"
          f"{'line':>22} {'batch':>6} {'overlap':>8} {'measured':>9} {'foreseen':>9} {'ratio':>6} {'relay':>6}")
    for line in a.lines:
        with Hosts(a.line_program, *line) as hosts:
            before, spent, cases = hosts.inside(0, [a.mpirun, *hosts.open_mpi()]), {}, {}
            for batch in a.batches:
                for mode in modes:
                    settings = sets(comm__overlap=mode) if mode else []

                    def one(batch=batch, mode=mode, settings=settings):
                        began = hosts.spent()
                        rate = train(a, before, batch, 2, 1, settings)
                        spent.setdefault((batch, mode), []).append((hosts.spent() - began) / (2 * a.steps))
                        return batch / rate

                    def foreseen(batch=batch, settings=settings):
                        return plan(a, line, batch, settings)["step_seconds"]
                    cases |= {(batch, mode): one, (batch, mode, "plan"): foreseen}
            got = {name: statistics.median(v) for name, v in measure(a, cases).items()}
            for batch in a.batches:
                for mode in modes:
                    took, said = got[batch, mode], got[batch, mode, "plan"]
                    print(f"{hosts.describe():>22} {batch:6} {mode or '-':>8} {1e3 * took:9.1f} {1e3 * said:9.1f} "
                          f"{said / took:6.2f} {1e3 * statistics.median(spent[batch, mode]):6.1f}", flush=True)


# ---- PyTorch ------------------------------------------------------------------------------------------

def torch_ranks(a, hosts, batch, layout):
    """Images a second of two ranks of DistributedDataParallel."""
    words = [a.python, f"{HERE}/torch_ddp.py", "--layout", layout, "--batch", str(batch), "--repeat", str(a.repeat),
             "--model", "hybrid" if a.kind == "hybrid" else "baseline"]
    processes = []
    for rank in range(2):
        more = {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_PORT": "29611",
                "MASTER_ADDR": ADDRESSES[0] if hosts else "127.0.0.1"}
        if hosts:
            more["GLOO_SOCKET_IFNAME"] = "line"
        processes.append(subprocess.Popen(hosts.inside(rank, words) if hosts else ["taskset", "-c", str(rank), *words],
                                          env={**os.environ, **more}, stdout=subprocess.PIPE,
                                          stderr=subprocess.PIPE, text=True))
    said = [process.communicate() for process in processes]
    if any(process.returncode != 0 for process in processes):
        sys.exit(f"PyTorch's ranks: {said[0][1][-1500:]}\n{said[1][1][-1500:]}")
    return json.loads(said[0][0])["images_per_s"]


def ddp_on(a, name, hosts):
    before = hosts.inside(0, [a.mpirun, *hosts.open_mpi()]) if hosts else on_one_host(a)
    cases = {}
    for batch in a.batches:
        cases[batch, "mendel"] = lambda batch=batch: train(a, before, batch, 2, 1)
        for layout in ("nhwc", "nchw"):
            cases[batch, layout] = lambda batch=batch, layout=layout: torch_ranks(a, hosts, batch, layout)
    got = measure(a, cases)
    for batch in a.batches:
        layout = max(("nhwc", "nchw"), key=lambda side: statistics.median(got[batch, side]))
        ours, theirs = (statistics.median(got[batch, side]) for side in ("mendel", layout))
        rounds = [x / y for x, y in zip(got[batch, "mendel"], got[batch, layout])]
        print(f"{name:>22} {batch:6} {ours:9.1f} {theirs:9.1f} ({layout}) {ours / theirs:6.2f} "
              f"{min(rounds):6.2f}-{max(rounds):5.2f}", flush=True)


def ddp(a):
    if subprocess.run([a.python, "-c", "import torch.distributed"], capture_output=True).returncode != 0:
        skip(f"{a.python} has no PyTorch")
    if a.small:
        sys.exit("--small: PyTorch's network is that of CIFAR-10; use --batches 8 --steps 3 --repeat 1 instead")
    print(f"{a.kind}: images/s of two ranks with a thread each\n{'line':>22} {'batch':>6} {'mendel':>9} {'DDP':>9} "
          f"{'':6} {'ratio':>6} {'rounds':>12}")
    ddp_on(a, "one host", None)
    for line in a.lines:
        with Hosts(a.line_program, *line) as hosts:
            ddp_on(a, hosts.describe(), hosts)


# ---- the command -----------------------------------------------------------------------------------------

def read_line(text):
    """"10Gb/s,0.5ms" -> bits a second, seconds."""
    rate, delay = text.split(",")
    return next(float(rate[:-4]) * UNITS[unit] for unit in UNITS if rate.endswith(unit)), 1e-3 * float(delay[:-2])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["speed", "network", "ddp"])
    parser.add_argument("mendel", type=os.path.abspath, help="the program, e.g. build/mendel")
    parser.add_argument("--python", default=sys.executable, help="one that has PyTorch")
    parser.add_argument("--library", choices=["openmpi", "mpich"], default="openmpi", help="of speed")
    parser.add_argument("--kind", default="efficientnet_lite0", help="model.kind (hybrid)")
    parser.add_argument("--batches", default="64,256", type=lambda text: [int(n) for n in text.split(",")])
    parser.add_argument("--lines", default="1Gb/s,1ms 10Gb/s,1ms", help="rates and delays, both each way",
                        type=lambda text: [read_line(line) for line in text.split()])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="of an epoch; a training has two")
    parser.add_argument("--repeat", type=int, default=7, help="steps of PyTorch that count")
    parser.add_argument("--small", action="store_true", help="a small network: shows that the script works")
    parser.add_argument("--save", help="append the figures of all rounds to this file")
    a = parser.parse_args()
    a.line_program = os.path.join(os.path.dirname(a.mendel), "tests", "line")
    a.mpirun = next((f"{folder}/mpirun.{a.library}" for folder in os.environ["PATH"].split(":")
                     if os.path.exists(f"{folder}/mpirun.{a.library}")), None)
    if a.mpirun is None or not os.path.exists(f"{os.path.dirname(a.mendel)}/mendel_mpi_{a.library}.so"):
        skip(f"no mpirun.{a.library}, or no module for it beside {a.mendel}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # hosts are removed
    try:
        {"speed": speed, "network": network, "ddp": ddp}[a.command](a)
    except Unavailable as error:
        skip(error)


if __name__ == "__main__":
    main()
