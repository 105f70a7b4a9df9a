#!/usr/bin/env python3
"""`mendel eval`: where a model errs, against what follows from its predictions; the terminal's words
and the thumbnails.

    test_errors.py MENDEL
"""
import base64
import csv
import json
import math
import os
import struct
import subprocess
import sys
import tempfile
import unittest

MENDEL = os.path.abspath(sys.argv.pop(1))
SCRATCH = tempfile.TemporaryDirectory(prefix="mendel-errors-")
MLP = ["--set", "model.kind=mlp", "--threads", "1", "--set", "run.tuning=off"]


def mendel(*arguments):
    return subprocess.run([MENDEL, *arguments, "--threads", "1"], cwd=SCRATCH.name, check=True, text=True,
                          capture_output=True).stdout


def setUpModule():
    mendel("train", *MLP, "--set", "data.size=native", "--set", "train.epochs=3", "--out", "a")


def tearDownModule():
    SCRATCH.cleanup()


def wilson(k, n, z=1.959963984540054):
    p, zz = k / n, z * z / n
    middle, half = p + zz / 2, z * math.sqrt(p * (1 - p) / n + zz / 4 / n)
    return (middle - half) / (1 + zz), (middle + half) / (1 + zz)


class Errors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.result = json.loads(mendel("eval", "a/final.safetensors", "--data", "digits", "--json",
                                       "--mistakes", "40", "--predictions", "p.csv"))
        with open(os.path.join(SCRATCH.name, "p.csv"), newline="") as file:
            cls.rows = list(csv.DictReader(file))
        cls.pairs = [(int(r["label"]), int(r["predicted"])) for r in cls.rows]

    def close(self, a, b):
        self.assertAlmostEqual(a, b, delta=1e-12)

    def test_classes(self):
        classes, pairs = self.result["classes"], self.pairs
        self.assertEqual(classes["count"], 10)
        means = [0, 0, 0]
        for c, each in enumerate(classes["each"]):
            images, called = (sum(p[k] == c for p in pairs) for k in (0, 1))
            right = pairs.count((c, c))
            self.assertEqual((each["class"], each["images"], each["called"], each["right"]),
                             (c, images, called, right))
            either = images + called - right
            rates = {"precision": (right / called, *wilson(right, called)),
                     "recall": (right / images, *wilson(right, images)),
                     "f1": (2 * right / (images + called),
                            *(2 * p / (1 + p) for p in wilson(right, either)))}
            for k, (name, (value, low, high)) in enumerate(rates.items()):
                self.close(each[name], value)
                self.close(each[name + "_low"], low if right > 0 else 0)
                self.close(each[name + "_high"], min(high, 1))
                means[k] += value / 10
        for name, mean in zip(("precision", "recall", "f1"), means):
            self.close(classes["macro_" + name], mean)
        sizes = [each["images"] for each in classes["each"]]
        self.assertEqual((classes["fewest"], classes["most"]), (min(sizes), max(sizes)))

    def test_confusion(self):
        confusion = self.result["classes"]["confusion"]
        self.assertEqual(confusion, [[self.pairs.count((a, b)) for b in range(10)] for a in range(10)])
        wrong = sorted(((-confusion[a][b], a, b) for a in range(10) for b in range(10)
                        if a != b and confusion[a][b] > 0))
        self.assertEqual([(p["images"], p["label"], p["called"])
                          for p in self.result["classes"]["confused"]],
                         [(-n, a, b) for n, a, b in wrong[:20]])

    def logits(self, row):
        return [float(row[f"logit_{c}"]) for c in range(10)]

    def test_top5(self):
        hits = sum(sorted(self.logits(row), reverse=True)[4] <= self.logits(row)[int(row["label"])]
                   for row in self.rows)
        self.close(self.result["classes"]["top5"], hits / len(self.rows))
        self.close(self.result["classes"]["top5_low"], wilson(hits, len(self.rows))[0])

    def test_mistakes(self):
        wrong = []
        for row in self.rows:
            label, called = int(row["label"]), int(row["predicted"])
            powers = [math.exp(x) for x in self.logits(row)]
            if label != called:
                wrong.append((-powers[called] / sum(powers), int(row["index"]), label, called,
                              powers[label] / sum(powers)))
        mistakes = self.result["mistakes"]
        self.assertEqual(len(mistakes), min(40, len(wrong)))
        for own, (probability, index, label, called, rights) in zip(mistakes, sorted(wrong)):
            self.assertEqual((own["index"], own["label"], own["called"]), (index, label, called))
            self.assertAlmostEqual(own["probability"], -probability, delta=1e-6)
            self.assertAlmostEqual(own["label_probability"], rights, delta=1e-6)

    def test_thumbnails(self):
        for i, mistake in enumerate(self.result["mistakes"]):
            if i >= 32:
                self.assertIsNone(mistake["image"])
                continue
            png = base64.b64decode(mistake["image"], validate=True)
            self.assertEqual(png[:8], b"\x89PNG\r\n\x1a\n")
            self.assertEqual(struct.unpack(">IIBB", png[16:26]), (8, 8, 8, 0))  # grey

    def test_terminal(self):
        short = mendel("eval", "a/final.safetensors", "--data", "digits")
        most = self.result["classes"]["confused"][0]
        images = self.result["classes"]["each"][most["label"]]["images"]
        self.assertIn(f"most confused: {most['images']} of {images} images of {most['label']} are called "
                      f"{most['called']}\n", short)
        self.assertIn("top-5 ", short)
        self.assertLess(len(short.splitlines()), 6)
        long = mendel("eval", "a/final.safetensors", "--data", "digits", "--classes", "--mistakes", "3")
        self.assertIn("by class", long)
        self.assertLessEqual(max(len(line) for line in long.splitlines()), 80)
        self.assertEqual(sum(" is called " in line for line in long.splitlines()), 3)


if __name__ == "__main__":
    unittest.main()
