"""Trainings with train.tensorboard for tests, and TensorBoard's event files read without it."""
import json
import os
import signal
import struct
import subprocess
import time

SMALL = ["--data", "digits", "--threads", "1"] + [part for setting in [
    "data.limit=400", "data.size=native", "model.kind=mlp", "train.batch=16", "train.tensorboard=true",
    "train.evaluate_every=2", "run.tuning=off"] for part in ("--set", setting)]
# What metrics.jsonl calls them.
NAMES = {"epoch": "epoch", "learning_rate": "lr", "loss/train": "train_loss",
         "loss/validation": "validation_loss", "accuracy/train": "train_top1",
         "accuracy/validation": "validation_top1", "images_per_second": "images_per_second",
         "seconds": "seconds", "joules": "joules",
         "waiting": "waiting"}


# ---- trainings -------------------------------------------------------------------------------------

def train(mendel, folder, *settings, resume=False):
    """A whole training, or one that goes on with what its folder says."""
    subprocess.run(command(mendel, folder, settings, resume), check=True, capture_output=True)


def command(mendel, folder, settings, resume):
    more = [part for setting in settings for part in ("--set", setting)]
    return [mendel, "train", *(["--resume"] if resume else SMALL), *more, "--out", folder]


def train_killed(mendel, folder, *settings, times=3):
    """A training that is killed several times, and leaves half a record each time."""
    for i in range(times):
        killed = subprocess.Popen(command(mendel, folder, settings, i > 0),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while killed.poll() is None and len(metrics(folder)) < 3 * (i + 1):
            time.sleep(0.005)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        with open(files(folder)[-1], "ab") as file:
            file.write(record(b"\x09" + bytes(8))[:17])
    train(mendel, folder, *settings, resume=True)


# ---- searches --------------------------------------------------------------------------------------

SEARCH = ["--data", "digits", "--threads", "1"] + [part for setting in [
    "data.size=native", "data.validation_fraction=0", "model.kind=mlp", "model.hidden=16", "merge.fitness=train",
    "merge.from_scratch=2", "merge.mutation=0.01", "merge.batch=4", "merge.evaluations=2000", "merge.tensorboard=true",
    "run.tuning=off"] for part in ("--set", setting)]


def search(mendel, folder, *settings, resume=False, kill=None):
    """A whole search; or one that gets a signal when its lineage has grown."""
    more = [part for setting in settings for part in ("--set", setting)]
    process = subprocess.Popen([mendel, "evolve", *SEARCH, *more, "--out", folder, *(["--resume"] if resume else [])],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    before = lineage_size(folder)
    while kill is not None and process.poll() is None and lineage_size(folder) <= before + 4000:
        time.sleep(0.002)
    if kill is not None:
        process.send_signal(kill)
    code = process.wait()
    assert kill is not None or code == 0, f"the search ends with {code}"


def search_killed(mendel, folder):
    """One that is saved, goes on, is killed behind what is saved, leaves half a record, and goes on to its end."""
    search(mendel, folder, kill=signal.SIGINT)
    search(mendel, folder, resume=True, kill=signal.SIGKILL)
    with open(files(folder)[-1], "ab") as file:
        file.write(record(b"\x09" + bytes(8))[:17])
    search(mendel, folder, resume=True)


def lineage_size(folder):
    try:
        return os.path.getsize(os.path.join(folder, "lineage.jsonl"))
    except FileNotFoundError:
        return 0


def metrics(folder):
    try:
        with open(os.path.join(folder, "metrics.jsonl")) as file:
            return [json.loads(line) for line in file]
    except FileNotFoundError:
        return []


def expected(folder):
    """{tag: [(step, value)]} as metrics.jsonl has it."""
    points = {}
    for line in metrics(folder):
        for tag, name in NAMES.items():
            if line[name] is not None:
                points.setdefault(tag, []).append((line["step"], line[name]))
    return points


def same(points, others):
    """Whether both have the same points; one of them has values as float32."""
    return points.keys() == others.keys() and all(
        [step for step, _ in points[tag]] == [step for step, _ in others[tag]] and
        all(abs(a - b) <= 2**-23 * abs(b) for (_, a), (_, b) in zip(points[tag], others[tag]))
        for tag in points)


# ---- event files -----------------------------------------------------------------------------------

def files(folder):
    return sorted(os.path.join(folder, name) for name in os.listdir(folder) if "tfevents" in name)


def crc32c(data):
    """Masked, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def record(data):
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", crc32c(length)) + data + struct.pack("<I", crc32c(data))


def records(path):
    """The whole records of a file, their checksums looked at."""
    with open(path, "rb") as file:
        data = file.read()
    at = 0
    while at + 12 <= len(data):
        size, = struct.unpack_from("<Q", data, at)
        if at + 16 + size > len(data):
            return
        body = data[at + 12:at + 12 + size]
        assert record(body) == data[at:at + 16 + size], f"{path}: a wrong checksum at {at}"
        yield body
        at += 16 + size


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def fields(data):
    """{number: [values]} of a message; fixed ones and messages as bytes."""
    out, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        else:
            size, at = {1: lambda: (8, at), 5: lambda: (4, at), 2: lambda: varint(data, at)}[key & 7]()
            value, at = data[at:at + size], at + size
        out.setdefault(key >> 3, []).append(value)
    return out


def read(folder):
    """{tag: [(step, value)]} as TensorBoard would have it, and the texts as {tag: [text]}."""
    points, texts = {}, {}
    for path in files(folder):
        events = [fields(body) for body in records(path)]
        assert events[0][3] == [b"brain.Event:2"], path
        for event in events:
            step = event[2][0]
            if 7 in event:  # what began behind this step takes the place of what was there
                assert fields(event[7][0])[1] == [1]
                points = {tag: [p for p in of if p[0] < step] for tag, of in points.items()}
            for value in fields(event[5][0]).get(1, []) if 5 in event else []:
                value = fields(value)
                tag = value[1][0].decode()
                if 8 in value:
                    assert fields(fields(value[9][0])[1][0])[1] == [b"text"]
                    texts.setdefault(tag, []).append(fields(value[8][0])[8][0].decode())
                else:
                    points.setdefault(tag, []).append((step, struct.unpack("<f", value[2][0])[0]))
    return {tag: of for tag, of in points.items() if of}, texts
