"""Calls that are wrong end with an exception that says what is wrong, and nothing crashes."""

import os
import pickle
import re
import subprocess
import sys
import unittest

import mendel
import numpy as np
from scratch import SMALL, Scratch, train

X = np.zeros([8, 6, 6], np.uint8)
Y = np.arange(8) % 2


class WrongCalls(Scratch):
    def setUp(self):
        self.checkpoint = train("model.safetensors")

    def test_table(self):
        m = mendel
        nan = np.full([8, 6, 6], np.nan)
        data_of = lambda *pair, **more: (lambda: m.Data(train=pair, **more))  # noqa: E731
        p = m.Predictor(self.checkpoint)
        m.train(SMALL, "digits", out="run", overwrite=True)
        for call, kind, text in (
            # configurations
            (lambda: m.train({"train.epoch": 1}), m.ConfigError, "train.epochs"),
            (lambda: m.train({"train.epochs": "many"}), m.ConfigError, "train.epochs"),
            (lambda: m.train({"train.epochs": None}), TypeError, "train.epochs"),
            (lambda: m.train({3: 1}), TypeError, "texts as keys"),
            (lambda: m.train(7), TypeError, "config"),
            (lambda: m.train({"data.source": "a\0b"}), ValueError, "NUL"),
            (lambda: m.train({"optim.lr": float("nan")}), m.ConfigError, "optim.lr"),
            (lambda: m.train("nowhere.yaml"), m.DataError, "nowhere.yaml"),
            (lambda: m.train({"run.memory_limit": 1000}), m.MemoryLimitError, "1000"),
            (lambda: m.train({"run.backend": "abacus"}), m.ConfigError, "abacus"),
            # arrays
            (data_of(X.astype(float), Y), TypeError, "uint8"),
            (data_of(nan, Y), TypeError, "255"),
            (data_of(X.astype(int), Y), TypeError, "astype"),
            (data_of(X[0], Y), ValueError, "newaxis"),
            (data_of(X[..., None, None], Y), ValueError, "shape"),
            (data_of(X, Y.astype(float)), TypeError, "integers"),
            (data_of(X, Y == 1), TypeError, "integers"),
            (data_of(X, ["a"] * 8), TypeError, "integers"),
            (data_of(X, Y[:5]), ValueError, "label for each"),
            (data_of(X, Y - 1), ValueError, "from 0"),
            (data_of(X, Y + 2**40), ValueError, "from 0"),
            (data_of(X, Y, class_names=["one"]), m.ConfigError, "labels"),
            (data_of(X, Y, class_names=["a", "b"], classes=3), ValueError, "class_names"),
            (data_of(X, Y, class_names=["a", "b\0"]), ValueError, "NUL"),
            (data_of(X, Y, classes=-1), ValueError, "classes"),
            (data_of(X), TypeError, "pair"),
            (data_of(X[:0], Y[:0]), m.ConfigError, "no images"),
            (data_of(np.zeros([2, 0, 4], np.uint8), [0, 1]), m.MendelError, ""),
            (data_of(np.zeros([2, 4, 4, 9], np.uint8), [0, 1]), m.MendelError, ""),
            (lambda: m.Data(), m.ConfigError, "no images"),
            (lambda: m.Data((X, Y), (X[:, :3], Y)), ValueError, "sizes"),
            (lambda: m.Data.open("nonsense:"), m.MendelError, "nonsense"),
            (lambda: m.train(SMALL, 5), TypeError, "data"),
            (lambda: m.train(SMALL, (X,)), TypeError, "pair"),
            (lambda: m.train(SMALL, "folder:nowhere"), m.DataError, "nowhere"),
            # files and options
            (lambda: m.train(SMALL, "digits", resume=True), m.ConfigError, "out"),
            (lambda: m.evaluate("nowhere.safetensors"), m.DataError, "nowhere"),
            (lambda: m.evaluate(__file__, "digits"), m.DataError, ""),
            (lambda: m.evaluate(self.checkpoint, "digits", split="most"), m.ConfigError, "split"),
            (lambda: m.evaluate(self.checkpoint, (X, Y)), m.MendelError, ""),
            (lambda: m.merge([], "out"), m.ConfigError, "checkpoint"),
            (lambda: m.merge(self.checkpoint, "out"), TypeError, "list"),
            (lambda: m.merge([self.checkpoint], self.checkpoint), m.ConfigError, ""),
            (lambda: m.merge([self.checkpoint], "out", "mixing"), m.ConfigError, "mixing"),
            (lambda: m.merge([self.checkpoint] * 2, "o", "slerp", ratio=-1), ValueError, "ratio"),
            (lambda: m.evolve([self.checkpoint], "out"), m.ConfigError, "two"),
            (lambda: m.align(self.checkpoint, "nowhere", "out"), m.DataError, "nowhere"),
            (lambda: m.interpolate(*[self.checkpoint] * 2, points=1), m.ConfigError, "points"),
            (lambda: m.recalibrate("nowhere", "out"), m.DataError, "nowhere"),
            (lambda: m.evaluate(self.checkpoint, "digits", batch=-1), ValueError, "batch"),
            (lambda: m.evaluate(self.checkpoint, "digits", images=0.5), TypeError, ""),
            (lambda: m.recalibrate(self.checkpoint, "out", images=2**40), ValueError, "images"),
            (lambda: m.train(SMALL, "digits", on_epoch=3), TypeError, "callable"),
            (lambda: m.train(SMALL, "digits", out=3), TypeError, "int"),
            (lambda: m.convert("nowhere", "out.safetensors"), m.DataError, "nowhere"),
            (lambda: m.convert(self.checkpoint, "out", dtype="f8"), m.ConfigError, "bf16"),
            (lambda: m.export("nowhere", "out.onnx"), m.DataError, "nowhere"),
            (lambda: m.export(self.checkpoint, self.checkpoint), m.ConfigError, ""),
            # predictors
            (lambda: m.Predictor(self.checkpoint, threads=2**40), ValueError, "threads"),
            (lambda: m.Predictor(self.checkpoint, threads=-1), ValueError, "threads"),
            (lambda: m.Predictor(self.checkpoint, batch=2**40), ValueError, "batch"),
            (lambda: m.Predictor("nowhere"), m.DataError, "nowhere"),
            (lambda: m.Predictor(self.checkpoint, "abacus"), m.MendelError, "abacus"),
            (lambda: m.Predictor(self.checkpoint, batch=0), ValueError, "batch"),
            (lambda: p.logits(X), ValueError, "8, 8, 1"),
            (lambda: p.logits(np.zeros([1, 8, 8])), TypeError, "uint8"),
            (lambda: p.logits(np.zeros([8, 8], np.uint8)), ValueError, "newaxis"),
            (lambda: p.predict("text"), TypeError, "uint8"),
            (lambda: p.logits(None), TypeError, "uint8"),
            (lambda: p.logits(np.zeros([1, 8, 8, 1, 1], np.uint8)), ValueError, "shape"),
            (lambda: p.logits_of_files("one.png"), TypeError, "list"),
            (lambda: p.logits_of_files([3]), TypeError, "int"),
            # folders
            (lambda: m.experiment(SMALL, ""), m.ConfigError, "`out`"),
            (lambda: m.experiment(SMALL, "x", resume=True, overwrite=True), m.ConfigError, "`resume`"),
            (lambda: m.experiment(SMALL, "run"), m.ConfigError, "`overwrite`"),
            (lambda: m.train(SMALL, "digits", out="run"), m.ConfigError, "`resume`"),
            (lambda: m.evolve([self.checkpoint] * 2, "run"), m.ConfigError, "`overwrite`"),
            (lambda: m.report("nowhere"), m.DataError, "nowhere"),
            (lambda: m.report("run", html="page.txt"), m.ConfigError, ".html"),
            (lambda: m.report_text("run"), m.DataError, "table.json"),
            (lambda: m.report_text("run", columns=10), m.ConfigError, "columns"),
            (lambda: m.run_status("nowhere"), m.DataError, "nowhere"),
            (lambda: m.compare("nowhere", "nowhere"), m.DataError, "nowhere"),
            (lambda: m.compare([], []), m.ConfigError, "pairs"),
            (lambda: m.fetch("cifar10", url="gopher://x"), m.ConfigError, "gopher"),
            (lambda: m.fetch("cifar10", folder="run"), m.ConfigError, "run"),
            (lambda: m.merge([self.checkpoint] * 2, "o", "ties"), m.ConfigError, "`trunk`"),
            (lambda: m.merge([3], "o"), TypeError, "int"),
            # names that are no UTF-8
            (lambda: m.train({"data.source": "folder:no\udcff"}), m.DataError, "no"),
            (lambda: m.Predictor(b"no\xff"), m.DataError, "no"),
            (lambda: m.Predictor("no\udcff"), m.DataError, "no"),
            (lambda: m.train({"train\udcff": 1}), m.ConfigError, "no such key"),
        ):
            with self.subTest(text=text, kind=kind):
                with self.assertRaises(kind) as caught:
                    call()
                self.assertIn(text, str(caught.exception))
                self.assertNotIn(" --", str(caught.exception))  # what no function takes

    def test_closed(self):
        predictor = mendel.Predictor(self.checkpoint)
        with predictor:
            pass
        predictor.close()
        with self.assertRaisesRegex(ValueError, "closed"):
            predictor.logits(np.zeros([1, 8, 8], np.uint8))
        data = mendel.Data(train=(X, Y))
        data.close()
        data.close()
        for use in data.describe, lambda: mendel.train(SMALL, data):
            with self.assertRaisesRegex(ValueError, "closed"):
                use()

    def test_all_names_are_listed(self):
        for function, call in (
            (mendel.merge, lambda: mendel.merge([self.checkpoint], "out", "?")),
            (mendel.evolve, lambda: mendel.evolve([self.checkpoint] * 2, "out", method="?")),
            (mendel.convert, lambda: mendel.convert(self.checkpoint, "out", preset="?")),
        ):
            with self.assertRaises(mendel.ConfigError) as caught:
                call()
            names = re.findall(r"[a-z][a-z0-9_-]*", str(caught.exception).split("?")[1])
            for name in set(names) - {"here", "there", "are", "expected", "one", "of", "no", "or"}:
                self.assertIn(f'"{name}"', function.__doc__, function.__name__)

    def test_forked(self):
        predictor = mendel.Predictor(self.checkpoint, threads=2)
        x = np.zeros([1, 8, 8], np.uint8)
        wanted = predictor.logits(x)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(predictor)).logits(x), wanted)
        child = os.fork()
        if child == 0:
            try:
                with self.assertRaisesRegex(RuntimeError, "forked"):
                    predictor.logits(x)
                predictor.close()
                own = mendel.Predictor(self.checkpoint, threads=2)
                np.testing.assert_array_equal(own.logits(x), wanted)
                mendel.train(SMALL, "digits", checkpoint="of-a-child")
                os._exit(0)
            finally:
                os._exit(1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        np.testing.assert_array_equal(predictor.logits(x), wanted)

    def test_callbacks_that_fail(self):
        def fail(*_):
            raise KeyError("of the caller")

        pair = [self.checkpoint] * 2
        tiny = {**SMALL, "experiment": {"seeds": 1, "hybrid": False}}
        for call in (
            lambda: mendel.train(SMALL, "digits", on_epoch=fail),
            lambda: mendel.evaluate(self.checkpoint, "digits", tta=True, on_progress=fail),
            lambda: mendel.compare(*pair, "digits", on_progress=fail),
            lambda: mendel.evolve(pair, "search", "digits", SMALL, overwrite=True, on_step=fail),
            lambda: mendel.experiment(tiny, "failing", overwrite=True, on_step=fail),
            lambda: mendel.experiment(tiny, "failing", overwrite=True, on_epoch=fail),
        ):
            with self.assertRaisesRegex(KeyError, "of the caller"):
                call()
        self.assertEqual(mendel.train(SMALL, "digits")["epochs"], 2)

    def test_closed_while_in_use(self):
        x = np.random.default_rng(0).integers(0, 9, [64, 6, 6], np.uint8)
        data = mendel.Data(train=(x, Y.repeat(8)))
        result = mendel.train([SMALL, {"data.limit": 0}], data, on_epoch=lambda _: data.close())
        self.assertEqual(result["epochs"], 2)

    def test_errors_are_whole(self):
        for kind, base in (
            (mendel.ConfigError, ValueError),
            (mendel.DataError, OSError),
            (mendel.NumericError, ArithmeticError),
            (mendel.MemoryLimitError, MemoryError),
            (mendel.DeviceError, RuntimeError),
        ):
            self.assertTrue(issubclass(kind, base) and issubclass(kind, mendel.MendelError))
        with self.assertRaises(mendel.DataError) as caught:
            mendel.evaluate("nowhere")
        again = pickle.loads(pickle.dumps(caught.exception))
        self.assertEqual((str(again), again.status), (str(caught.exception), -7))

    def test_weights_that_are_not_finite(self):
        with open(self.checkpoint, "rb") as file:
            content = bytearray(file.read())
        content[-4:] = b"\0\0\xc0\x7f"  # NaN
        with open("nan.safetensors", "wb") as file:
            file.write(content)
        with self.assertRaises(mendel.NumericError):
            mendel.evaluate("nan.safetensors", "digits")

    def test_no_library(self):
        environment = {
            **os.environ,
            "MENDEL_LIBRARY": "/nowhere/libmendel.so",
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        done = subprocess.run(
            [sys.executable, "-c", "import mendel"], env=environment, stderr=subprocess.PIPE
        )
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"MENDEL_LIBRARY", done.stderr)


if __name__ == "__main__":
    unittest.main()
