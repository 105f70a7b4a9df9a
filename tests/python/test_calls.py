"""Every function: it does what the program does, to the last bit, and what its docstring shows."""

import base64
import doctest
import importlib
import json
import os
import pathlib
import unittest

import mendel
import numpy as np
from scratch import SMALL, Scratch, program, small, train

GREY = (  # 8x8
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAAF0lEQVR42mNo+P8fjBigNJABFWIgRQoAeTQ1VtQGWtIAAAAA"
    "SUVORK5CYII="
)


class LikeTheProgram(Scratch):
    def setUp(self):
        self.a, self.b = train("a.safetensors", 1), train("b.safetensors", 2)

    def test_train(self):
        result = mendel.train(small(run__seed=3), "digits", out="run")
        printed = json.loads(
            program("train", "--data", "digits", "--seed", "3", "--out", "cli", "--json")
        )
        self.assertSameFile("run/final.safetensors", "cli/final.safetensors")
        for key in "epochs", "steps", "parameters", "train_loss", "validation_top1":
            self.assertEqual(result[key], printed[key], key)
        # Without a folder and with the file of a configuration it is the same training.
        mendel.train(("cli/config.yaml", {"run.seed": 3}), checkpoint="again.safetensors")
        self.assertSameFile("again.safetensors", "cli/final.safetensors")

    def test_evaluate(self):
        seen = []
        result = mendel.evaluate(
            self.a,
            "digits",
            {"data.limit": 200, "run.threads": 1},
            predictions="own.csv",
            tta=True,
            images=20,
            on_progress=lambda *what: seen.append(what),
        )
        program("eval", self.a, "--data", "digits", "--predictions", "cli.csv")
        self.assertSameFile("own.csv", "cli.csv")
        self.assertTrue(seen and isinstance(seen[0][0], str))
        self.assertEqual(result["images"], 200)

    def test_errors(self):
        result = mendel.evaluate(self.a, "digits", mistakes=3, logits=True, predictions="errors.csv")
        rows = np.loadtxt("errors.csv", delimiter=",", skiprows=1)
        np.testing.assert_allclose(result["logits"], rows[:, 3:13], rtol=1e-6)
        confusion = np.array(result["classes"]["confusion"])
        own = np.zeros_like(confusion)
        np.add.at(own, (rows[:, 1].astype(int), result["logits"].argmax(axis=1)), 1)
        np.testing.assert_array_equal(confusion, own)
        self.assertAlmostEqual(result["top1"], np.trace(confusion) / confusion.sum())
        self.assertEqual(len(result["mistakes"]), 3)
        self.assertNotIn("logits", mendel.evaluate(self.a, "digits"))

    def test_compare(self):
        seen = []
        result = mendel.compare(
            self.a,
            self.b,
            "digits",
            {"data.limit": 200, "run.threads": 1},
            on_progress=lambda *what: seen.append(what),
        )
        printed = program("compare", self.a, self.b, "--data", "digits", "--json")
        self.assertEqual(result, json.loads(printed))
        self.assertEqual([what[1:] for what in seen], [(0, 2), (1, 2)])
        pairs = mendel.compare([self.a, self.b], [self.b, self.a], "digits", {"data.limit": 200})
        self.assertEqual((pairs["n"], pairs["difference"]), (2, 0))
        self.assertEqual(pairs["pairs"][0]["b"], result["b"])
        with self.assertRaises(ValueError):
            mendel.compare([self.a, self.b], self.a)
        with self.assertRaises(mendel.Cancelled):
            mendel.compare(self.a, self.b, "digits", on_progress=lambda *what: True)

    def test_merge_and_align(self):
        one = {"run.threads": 1}
        cli = ["-o", "cli-merge", "--method", "slerp", "--ratio", "0.3"]
        mendel.merge([self.a, self.b], "own-merge", "slerp", config=one, ratio=0.3)
        program("merge", self.a, self.b, *cli)
        self.assertSameFile("own-merge", "cli-merge")
        mendel.align(self.a, self.b, "own-align", config=one)
        program("align", self.a, self.b, "-o", "cli-align")
        self.assertSameFile("own-align", "cli-align")

    def test_evolve(self):
        steps = []
        result = mendel.evolve(
            [self.a, self.b], "own-search", "digits", SMALL, on_step=steps.append
        )
        program("evolve", self.a, self.b, "--data", "digits", "--out", "cli-search")
        self.assertSameFile("own-search/merged.safetensors", "cli-search/merged.safetensors")
        self.assertEqual(result["evaluations"], 12)
        self.assertEqual(steps[-1]["evaluations"], 12)

    def test_interpolate_and_recalibrate(self):
        line = mendel.interpolate(self.a, self.b, "digits", SMALL, points=3, out="own.json")
        arguments = "--data", "digits", "--points", "3", "--json"
        printed = json.loads(program("interpolate", self.a, self.b, *arguments))
        self.assertEqual(line, printed)
        mendel.recalibrate(self.a, "own-recalibrated", "digits", SMALL)
        program("recalibrate", self.a, "--data", "digits", "-o", "cli-recalibrated")
        self.assertSameFile("own-recalibrated", "cli-recalibrated")

    def test_export(self):
        mendel.export(self.a, "own.onnx", with_preprocessing=True)
        program("export", self.a, "--with-preprocessing", "-o", "cli.onnx")
        self.assertSameFile("own.onnx", "cli.onnx")

    def test_convert(self):
        mendel.convert(self.a, "own-half.safetensors", dtype="f16")
        program("convert", self.a, "cli-half.safetensors", "--dtype", "f16", configured=False)
        self.assertSameFile("own-half.safetensors", "cli-half.safetensors")

    def test_plan(self):
        plan = mendel.plan(SMALL, "digits")
        printed = json.loads(program("plan", "--data", "digits", "--json"))
        self.assertEqual(plan["total"], printed["total"])


class Arrays(Scratch):
    """Arrays are read where they are, whatever their layout."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        random = np.random.default_rng(1)
        cls.y = np.arange(120) % 3
        cls.x = random.integers(0, 60, [120, 6, 5, 1], dtype=np.uint8)
        cls.x[np.arange(120), cls.y] += 180  # the class is the row that is bright
        cls.config = small(data__limit=0, train__epochs=4)

    def checkpoint_of(self, x, y, name):
        mendel.train(self.config, (x, y), checkpoint=name)
        return name

    def test_layouts(self):
        plain = self.checkpoint_of(self.x, self.y, "plain")
        wide = np.zeros([120, 6, 10, 1], np.uint8)
        wide[:, :, ::2] = self.x
        for name, x in (
            ("not-contiguous", wide[:, :, ::2]),
            ("fortran", np.asfortranarray(self.x)),
            ("no-channel", self.x[..., 0]),
            ("nested-list", self.x.tolist() and memoryview(self.x)),
        ):
            self.assertSameFile(plain, self.checkpoint_of(x, self.y, name))
        for dtype in np.int8, np.uint8, np.int64, np.uint64, ">i4":
            self.assertSameFile(plain, self.checkpoint_of(self.x, self.y.astype(dtype), "labels"))

    def test_no_copy(self):
        x = self.x.copy()
        with mendel.Data(test=(x, self.y)) as data:
            name = self.checkpoint_of(self.x, self.y, "no-copy")
            before = mendel.evaluate(name, data)["loss"]
            x[:] = 0  # seen by the library, which reads the caller's memory
            self.assertNotEqual(mendel.evaluate(name, data)["loss"], before)

    def test_data_outlives_names(self):
        with mendel.Data(train=(self.x + 0, self.y + 0), test=(self.x + 0, self.y + 0)) as data:
            facts = data.describe()
            self.assertEqual((facts["height"], facts["width"], facts["channels"]), (6, 5, 1))
            self.assertEqual((facts["classes"], facts["test"]), (3, 120))
            mendel.train(self.config, data, checkpoint="of-data")
            result = mendel.evaluate("of-data", data)
        self.assertGreater(result["top1"], 0.9)
        # Images to test on alone: the checkpoint says how they are normalised.
        again = mendel.evaluate("of-data", (self.x, self.y))
        self.assertEqual(again["loss"], result["loss"])

    def test_files(self):
        name = self.checkpoint_of(self.x, self.y, "files")
        with open("grey.png", "wb") as file:
            file.write(base64.b64decode(GREY))
        with mendel.Predictor(name, threads=1) as predictor:
            logits, errors = predictor.logits_of_files(["grey.png", "nowhere.png"])
            self.assertTrue(np.isfinite(logits[0]).all() and np.isnan(logits[1]).all())
            self.assertIsNone(errors[0])
            self.assertIsInstance(errors[1], mendel.DataError)
            self.assertIn("nowhere.png", str(errors[1]))
            self.assertEqual(predictor.logits_of_files([])[0].shape, (0, 3))
            self.assertIsNone(predictor.class_names)

    def test_class_names(self):
        names = ["röd", "green", "blue"]
        data = mendel.Data(train=(self.x, self.y), class_names=names)
        self.assertEqual(data.describe()["class_names"], names)
        mendel.train(self.config, data, checkpoint="named")
        self.assertEqual(mendel.Predictor("named").class_names, names)
        turned = mendel.Data(test=(self.x, 2 - self.y), class_names=names[::-1])
        self.assertGreater(mendel.evaluate("named", turned)["top1"], 0.9)

    def test_name_that_is_not_utf8(self):
        out = os.fsdecode(b"caf\xe9")
        self.assertEqual(mendel.train(self.config, (self.x, self.y), out=out)["out"], out)
        self.assertTrue(os.path.exists(out + "/final.safetensors"))

    def test_predictor(self):
        name = self.checkpoint_of(self.x, self.y, "predicts")
        mendel.evaluate(name, (self.x, self.y), predictions="p.csv", config={"run.threads": 1})
        wanted = np.genfromtxt("p.csv", delimiter=",", names=True)
        with mendel.Predictor(name, threads=1, batch=50) as predictor:
            self.assertEqual(tuple(predictor.shape), (6, 5, 1, 3))
            logits = predictor.logits(self.x)
            self.assertEqual(logits.dtype, np.float32)
            for i in range(3):
                np.testing.assert_allclose(logits[:, i], wanted[f"logit_{i}"], atol=1e-5)
            np.testing.assert_array_equal(predictor.predict(self.x), logits.argmax(1))
            np.testing.assert_array_equal(predictor.logits(self.x[7:8, ..., 0]), logits[7:8])
            np.testing.assert_allclose(predictor.probabilities(self.x).sum(1), 1)
            self.assertEqual(predictor.logits(self.x[:0]).shape, (0, 3))
            self.assertEqual(predictor.probabilities(self.x[:0]).shape, (0, 3))


class Configuration(Scratch):
    def test_values(self):
        value = mendel._config.value_text
        for given, wanted in (
            (True, "true"),
            (np.bool_(False), "false"),
            (3, "3"),
            (np.int64(3), "3"),
            (1e-8, "1e-08"),
            (np.float32(0.5), "0.5"),
            ([0.25, np.float64(1)], "[0.25, 1.0]"),
            (np.array([1, 2]), "[1, 2]"),
            (("crop", "flip"), "[crop, flip]"),
            ("a: b # c", "a: b # c"),
        ):
            self.assertEqual(value("key", given), wanted)

    def test_order(self):
        with open("c.yaml", "w") as file:
            file.write("train:\n  epochs: 1\nmodel:\n  kind: mlp\n")
        config = ["c.yaml", {"data.size": "native"}, {"train": {"epochs": np.int32(2)}}]
        self.assertEqual(mendel.train(config, "digits")["epochs"], 2)

    def test_former_words_go_to_the_log(self):
        with self.assertLogs("mendel", "WARNING") as log:
            mendel.plan({"data.fitness_fraction": 0.2}, "digits")
        self.assertIn("data.validation_fraction", log.output[0])


class Examples(Scratch):
    """The examples of the docstrings."""

    def test_docstrings(self):
        ran = 0
        for file in pathlib.Path(mendel.__file__).parent.glob("*.py"):
            name = "mendel" if file.stem == "__init__" else "mendel." + file.stem
            result = doctest.testmod(importlib.import_module(name))
            self.assertEqual(result.failed, 0, name)
            ran += result.attempted
        self.assertGreater(ran, 50)

    def test_documents(self):
        root = pathlib.Path(__file__).resolve().parents[2]
        for name in "README.md", "docs/library.md":
            if not (root / name).exists():
                self.skipTest("these tests do not lie in the sources")
            result = doctest.testfile(str(root / name), module_relative=False)
            self.assertEqual(result.failed, 0, name)
            self.assertGreater(result.attempted, 3)

    def test_every_public_name_has_one(self):
        for name in mendel.__all__:
            thing = getattr(mendel, name)
            shows = ">>>" in (thing.__doc__ or "")
            error = isinstance(thing, type) and issubclass(thing, (mendel.MendelError, tuple))
            self.assertTrue(shows or error, f"the docstring of {name} has no example")


if __name__ == "__main__":
    unittest.main()
