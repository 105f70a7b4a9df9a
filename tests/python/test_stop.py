"""Work stops: by a callback, by an exception in it, by Ctrl-C; and it runs beside other work."""

import glob
import os
import signal
import subprocess
import sys
import threading
import time
import unittest

import mendel
from scratch import Scratch, small, train

# A training without an end, which Ctrl-C ends.
FOREVER = """
import mendel, scratch, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
config = scratch.small(train__epochs=1000000)
tell = (lambda epoch: None) if sys.argv[2] == "callback" else None
try:
    if sys.argv[2] == "search":
        many = scratch.small(merge__evaluations=1000000)
        mendel.evolve(["forever-1", "forever-2"], sys.argv[1], "digits", many)
    elif sys.argv[2] == "experiment":
        own = {"data.source": "digits", "experiment.hybrid": False, "experiment.seeds": 1}
        mendel.experiment((*config, own), sys.argv[1])
    else:
        mendel.train(config, "digits", out=sys.argv[1], on_epoch=tell)
except KeyboardInterrupt:
    sys.exit(42)
"""


def wait_for(pattern, child):
    """Until a file has something in it: a search opens its lineage before it has evaluated its parents."""
    for _ in range(6000):
        if any(map(os.path.getsize, glob.glob(pattern, recursive=True))):
            return
        if child.poll() is not None:
            break
        time.sleep(0.01)
    raise AssertionError(f"there is no {pattern} after a minute, or the process has ended")


class Stops(Scratch):
    def test_callback(self):
        whole, part = "whole/final.safetensors", "part/final.safetensors"
        mendel.train(small(), "digits", out="whole")
        seen = []

        def first(epoch):
            seen.append((epoch["epoch"], threading.current_thread()))
            return True

        with self.assertRaises(mendel.Cancelled):
            mendel.train(small(), "digits", out="part", on_epoch=first)
        self.assertEqual(seen, [(1, threading.main_thread())])
        self.assertFalse(os.path.exists(part))
        with self.assertRaises(mendel.ConfigError):
            mendel.train(small(), "digits", out="part")
        mendel.train(small(), "digits", out="part", resume=True)
        self.assertSameFile(whole, part)
        mendel.train(small(), "digits", out="part", overwrite=True)
        self.assertSameFile(whole, part)

    def test_callback_raises(self):
        error = KeyError("of the caller")

        def fail(_):
            raise error

        for kind in "on_step", "on_epoch":
            with self.assertRaises(KeyError) as caught:
                mendel.train(small(train__metrics_every=1), "digits", **{kind: fail})
            self.assertIs(caught.exception, error)
        calls = []
        names = ["a.safetensors", "b.safetensors"]
        for seed, name in enumerate(names):
            mendel.train(small(run__seed=seed), "digits", checkpoint=name)
        with self.assertRaises(KeyError):
            mendel.evolve(names, "search", "digits", on_step=lambda s: calls.append(s) or fail(s))
        self.assertEqual(len(calls), 1)
        with self.assertRaises(KeyError):
            mendel.evaluate(names[0], "digits", robustness=True, on_progress=lambda *_: fail(_))
        with self.assertRaises(SystemExit):
            mendel.train(small(), "digits", on_epoch=lambda _: sys.exit(3))

    def test_steps(self):
        steps = []
        mendel.train(small(train__metrics_every=1), "digits", on_step=steps.append)
        self.assertEqual(steps[-1]["epoch"], 2)
        self.assertEqual(steps[-1]["batch"], steps[-1]["batches"])  # none is lost at the end
        with self.assertRaises(mendel.Cancelled):
            mendel.train(
                small(train__metrics_every=1, train__epochs=100000),
                "digits",
                on_step=lambda step: True,
            )

    def test_callback_that_works(self):
        inner = []

        def look(epoch):
            inner.append(mendel.train(small(train__epochs=1), "digits")["epochs"])

        self.assertEqual(mendel.train(small(), "digits", on_epoch=look)["epochs"], 2)
        self.assertEqual(inner, [1, 1])

    def test_another_thread(self):
        caught = []

        def fail(_):
            raise KeyError(threading.current_thread().name)

        def work():
            try:
                mendel.train(small(), "digits", on_epoch=fail)
            except KeyError as error:
                caught.append(error.args[0])

        thread = threading.Thread(target=work, name="other")
        thread.start()
        thread.join()
        self.assertEqual(caught, ["other"])

    def interrupted(self, how, begun="/resume.state"):
        out = f"forever-{how}"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        child = subprocess.Popen([sys.executable, "-c", FOREVER, out, how], env=environment)
        try:
            wait_for(out + begun, child)
            child.send_signal(signal.SIGINT)
            self.assertEqual(child.wait(60), 42)
        finally:
            child.kill()
            child.wait()
        return out

    def interrupted_training(self, how):
        out = self.interrupted(how)
        # It has saved, and goes on where it was.
        epochs = []
        with self.assertRaises(mendel.Cancelled):
            mendel.train(
                small(train__epochs=1000000),
                "digits",
                out=out,
                resume=True,
                on_epoch=lambda epoch: epochs.append(epoch["epoch"]) or True,
            )
        self.assertGreater(epochs[0], 1)

    def test_ctrl_c(self):
        self.interrupted_training("plain")

    def test_ctrl_c_with_callbacks(self):
        self.interrupted_training("callback")

    def test_ctrl_c_in_a_search(self):
        names = [train(f"forever-{seed}", seed) for seed in (1, 2)]
        out = self.interrupted("search", "/lineage.jsonl")
        self.assertTrue(os.path.exists(out + "/resume.state"))
        many, seen = small(merge__evaluations=1000000), []
        with self.assertRaises(mendel.Cancelled):
            mendel.evolve(
                names, out, "digits", many, resume=True, on_step=lambda step: seen.append(step) or True
            )
        self.assertGreater(seen[0]["evaluations"], 1)

    def test_ctrl_c_in_an_experiment(self):
        out = self.interrupted("experiment", "/**/resume.state")
        self.assertEqual(len(glob.glob(out + "/**/resume.state", recursive=True)), 1)
        self.assertEqual(mendel.run_status(out)["kind"], "experiment")


class Beside(Scratch):
    """The interpreter is free while the library computes, and two trainings do not disturb."""

    def test_two_at_once(self):
        started = threading.Barrier(2, timeout=60)
        failures = []

        def work(seed):
            try:
                met = []
                mendel.train(
                    small(run__seed=seed),
                    "digits",
                    checkpoint=f"beside-{seed}",
                    # Each waits in its first epoch for the other one: they do run at once.
                    on_epoch=lambda _: None if met else met.append(started.wait()),
                )
            except BaseException as error:
                failures.append(error)

        for seed in 1, 2:
            mendel.train(small(run__seed=seed), "digits", checkpoint=f"alone-{seed}")
        threads = [threading.Thread(target=work, args=[seed]) for seed in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        for seed in 1, 2:
            self.assertSameFile(f"alone-{seed}", f"beside-{seed}")

    def test_shared_predictor(self):
        import numpy as np

        mendel.train(small(), "digits", checkpoint="shared")
        predictor = mendel.Predictor("shared", threads=1, batch=4)
        x = np.random.default_rng(0).integers(0, 17, [40, 8, 8], dtype=np.uint8)
        wanted, wrong = predictor.logits(x), []

        def work():
            for _ in range(20):
                if not np.array_equal(predictor.logits(x), wanted):
                    wrong.append(1)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main()
