#!/usr/bin/env python3
"""Event files of trainings, read by TensorBoard itself: a whole one, one that was stopped in an
epoch, one that was killed three times and resumed.  Values are those of metrics.jsonl, and no point
stands twice.

    python3 tests/train/check_tensorboard.py build/mendel

ends with 77 where tensorboard (PyPI) is not installed.
"""
import os
import sys
import tempfile

import events

try:
    from tensorboard.backend.event_processing import event_accumulator, plugin_event_accumulator
    from tensorboard.version import VERSION
except ImportError:
    sys.exit(77)


def scalars(folder):
    read = event_accumulator.EventAccumulator(folder, size_guidance={event_accumulator.SCALARS: 0})
    read.Reload()
    return {tag: [(e.step, e.value) for e in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def shown(folder):
    """The same as TensorBoard's own page gets it, and the text."""
    read = plugin_event_accumulator.EventAccumulator(folder, tensor_size_guidance={"scalars": 0})
    read.Reload()
    points = {}
    for tag in read.Tags()["tensors"]:
        plugin = read.SummaryMetadata(tag).plugin_data.plugin_name
        for event in read.Tensors(tag):
            proto = event.tensor_proto
            value = proto.string_val[0].decode() if plugin == "text" else proto.float_val[0]
            points.setdefault((plugin, tag), []).append((event.step, value))
    text = points.pop(("text", "configuration"))
    return {tag: of for (_, tag), of in points.items()}, text[-1][1]


def check(what, folder):
    own, page, text = events.expected(folder), *shown(folder)
    assert events.same(scalars(folder), own), f"{what}: the accumulator has other points than metrics.jsonl"
    assert events.same(page, own), f"{what}: the page has other points than metrics.jsonl"
    assert "    train:\n" in text, f"{what}: the configuration is not shown"
    print(f"{what}: {len(events.files(folder))} files, {len(own)} scalars, "
          f"{sum(len(of) for of in own.values())} points: as metrics.jsonl")


def main():
    mendel = os.path.abspath(sys.argv[1])
    print("TensorBoard", VERSION)
    with tempfile.TemporaryDirectory(prefix="mendel-events-") as scratch:
        whole, stopped, killed = (os.path.join(scratch, name) for name in ("whole", "stopped", "killed"))
        events.train(mendel, whole, "train.epochs=4")
        check("a whole training", whole)
        events.train(mendel, stopped, "train.epochs=4", "train.max_steps=50")
        events.train(mendel, stopped, "train.max_steps=0", resume=True)
        check("stopped in an epoch and resumed", stopped)
        events.train_killed(mendel, killed, "train.epochs=40")
        check("killed three times and resumed", killed)
        one, other = (os.path.join(scratch, name) for name in ("search", "killed-search"))
        events.search(mendel, one)
        events.search_killed(mendel, other)
        points, again = scalars(one), scalars(other)
        assert points == again, "a search that was killed and resumed has other points"
        assert [step for step, _ in points["accuracy/best"]] == list(range(0, 2001, 4)), "points are missing"
        assert shown(one)[0] == shown(other)[0] == points, "the page has other points"
        print(f"a search, whole and killed: {len(points)} scalars, {sum(len(of) for of in points.values())} points: the same")


if __name__ == "__main__":
    main()
