#!/usr/bin/env python3
"""`mendel compare`: by predictions whose tests are known from scipy, by checkpoints, by runs, by pairs,
by experiments; what is refused.

    test_compare.py MENDEL
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

MENDEL = os.path.abspath(sys.argv.pop(1))
HERE = os.path.dirname(os.path.abspath(__file__))
TABLE = os.path.join(HERE, "..", "report", "make_table.py")
SCRATCH = tempfile.TemporaryDirectory(prefix="mendel-compare-")
MLP = ["--set", "model.kind=mlp", "--set", "data.size=native", "--set", "run.tuning=off"]
NAMES = ["a, \"b\"", "c", "caf\\xE9"]  # the last is escaped, as in all files


def mendel(*arguments, code=0):
    done = subprocess.run([MENDEL, *arguments, "--threads", "1"], cwd=SCRATCH.name, text=True,
                          capture_output=True)
    assert done.returncode == code, f"{arguments}: {done.returncode}: {done.stderr}"
    return done.stdout if code == 0 else done.stderr


def compare(*arguments):
    return json.loads(mendel("compare", *arguments, "--json"))


def write(name, rows, names=NAMES):
    """A file of predictions from (index, label, called)."""
    def quoted(text):
        return '"' + text.replace('"', '""') + '"' if '"' in text else text

    with open(os.path.join(SCRATCH.name, name), "w") as file:
        file.write("index,label,predicted,logit_0,logit_1,logit_2" +
                   (",label_name,predicted_name\n" if names else "\n"))
        for index, label, called in rows:
            more = f",{quoted(names[label])},{quoted(names[called])}" if names else ""
            file.write(f"{index},{label},{called},0.5,-1,2{more}\n")
    return name


def answers(first, second):
    """Rows of images in which each class has such answers: '11' both right, '10' only the first."""
    out = [], []
    for label, kinds in enumerate(zip(first, second)):
        for side, text in zip(out, kinds):
            side.extend((len(side), label, label if right == "1" else (label + 1) % 3) for right in text)
    return out


class Compare(unittest.TestCase):
    def test_known(self):
        # Class 0: b 2, c 8; class 1: b 0, c 6; class 2: b 1, c 2.
        one, two = answers(["1" * 5 + "11" + "0" * 8, "1" * 4 + "0" * 6, "100" + "111"],
                           ["1" * 5 + "00" + "1" * 8, "1" * 10, "011" + "111"])
        result = compare(write("1.csv", one), write("2.csv", reversed(two)))
        self.assertEqual((result["b"], result["c"], result["images"]), (3, 16, 31))
        self.assertEqual((result["outcome"], result["compares"]), ("worse", "models"))
        # scipy.stats.binomtest(3, 19).pvalue
        self.assertAlmostEqual(result["p"], 0.00442504882812, delta=1e-12)
        self.assertAlmostEqual(result["difference"], -13 / 31)
        self.assertTrue(result["low"] < result["difference"] < result["high"] < 0)
        # binomtest(2, 10), (0, 6), (1, 3); statsmodels' multipletests(..., method="holm")
        for one, p, holm, name in zip(result["classes"], (0.109375, 0.03125, 1.0),
                                      (0.21875, 0.09375, 1.0), NAMES):
            self.assertAlmostEqual(one["p"], p)
            self.assertAlmostEqual(one["p_holm"], holm)
            self.assertEqual(one["name"], name)
        text = mendel("compare", "1.csv", "2.csv")
        self.assertTrue(text.startswith("2.csv is better than 1.csv: 90.32 % against 48.39 %"), text)
        self.assertIn("No class differs", text)
        self.assertIn("  caf\\xE9  ", mendel("compare", "1.csv", "2.csv", "--classes"))

    def test_pairs(self):
        # Accuracies of .71 .69 .74 and .60 .62 .61: scipy.stats.ttest_rel
        first = [write(f"f{n}.csv", [(i, 0, int(i >= n)) for i in range(100)]) for n in (71, 69, 74)]
        second = [write(f"s{n}.csv", [(i, 0, int(i >= n)) for i in range(100)]) for n in (60, 62, 61)]
        result = compare(*first, *second)
        self.assertEqual((result["compares"], result["n"], result["outcome"]), ("pairs", 3, "better"))
        self.assertAlmostEqual(result["t"], 5.8584493316430155)
        self.assertAlmostEqual(result["p"], 0.027921769336949516)
        self.assertAlmostEqual(result["low"], 0.027441672658543942)
        self.assertAlmostEqual(result["high"], 0.1792249940081227)
        self.assertAlmostEqual(result["sign_flip_p"], 0.25)
        self.assertEqual([pair["b"] for pair in result["pairs"]], [11, 7, 13])
        self.assertIn("The first half is better", mendel("compare", *first, *second)[:30].capitalize())

    def test_checkpoints(self):
        for name, epochs in ("a", 1), ("b", 6):
            mendel("train", *MLP, "--set", f"train.epochs={epochs}", "--out", name)
            mendel("eval", f"{name}/final.safetensors", "--data", "digits", "--predictions", f"{name}.csv")
        runs, files = compare("a", "b"), compare("a.csv", "b.csv")
        mixed = compare("a/final.safetensors", "b.csv", "--data", "digits")
        for key in "b", "c", "p", "difference", "low", "high", "outcome", "images", "classes":
            self.assertEqual(runs[key], files[key], key)
            self.assertEqual(mixed[key], files[key], key)
        self.assertEqual([side["kind"] for side in (runs["first"], mixed["first"], mixed["second"])],
                         ["training", "checkpoint", "predictions"])
        self.assertEqual((runs["outcome"], runs["data"], runs["split"]), ("worse", "digits", "test"))
        self.assertEqual(runs["first"]["model"], "mlp")
        self.assertEqual(compare("a", "a")["outcome"], "alike")
        text = mendel("compare", "a", "b", "--classes")
        self.assertLessEqual(max(len(line) for line in text.splitlines()), 80)
        self.assertTrue(text.startswith("b is better than a: "), text)
        self.assertIn("a.csv has answers for 360 images, b for 100",
                      mendel("compare", "a.csv", "b", "--set", "data.limit=100", code=3))
        # What is written is no input.
        self.assertIn("is an input", mendel("compare", "a.csv", "b.csv", "-o", "a.csv", code=2))
        mendel("compare", "a.csv", "b.csv", "-o", "c.json")
        with open(os.path.join(SCRATCH.name, "c.json")) as file:
            self.assertEqual(json.load(file), files)

    def test_experiments(self):
        for name, tops, single in ("x", "[0.71,0.69,0.74]", 0.8), ("y", "[0.6,0.62,0.61]", 0.7):
            folder = os.path.join(SCRATCH.name, name)
            os.mkdir(folder)
            mean = sum(json.loads(tops)) / 3
            table = subprocess.run(
                [sys.executable, TABLE, "experiment", f'hybrid.mean:mean:{mean}:each="seed":each_top1={tops}',
                 f"hybrid.m2n2:m2n2:{single}"], check=True, text=True, capture_output=True).stdout
            with open(os.path.join(folder, "table.json"), "w") as file:
                file.write(table)
            with open(os.path.join(folder, "config.yaml"), "w") as file:
                file.write("# A run of Mendel: an experiment.\n")
        result = compare("x", "y")
        mean, single = result["rows"]
        self.assertEqual((mean["id"], mean["outcome"], mean["n"]), ("hybrid.mean", "better", 3))
        self.assertAlmostEqual(mean["p"], 0.027921769336949516)
        self.assertEqual((single["outcome"], single["p"]), ("none", None))
        self.assertAlmostEqual(single["difference"], 0.1)
        self.assertIn("1 are better in x and 0 in y", mendel("compare", "x", "y").replace("\n", " "))

    def test_refused(self):
        rows = [(i, i % 3, 0) for i in range(9)]
        write("r.csv", rows)
        write("other.csv", [(i + 1, i % 3, 0) for i in range(9)])
        write("turned.csv", [(i, (i + 1) % 3, 0) for i in range(9)])
        write("twice.csv", rows[:8] + rows[:1])
        with open(os.path.join(SCRATCH.name, "bad.csv"), "w") as file:
            file.write("index,label,predicted\n0,1\n")
        for second, code, said in (
                ("other.csv", 3, "r.csv has an answer for image 0, other.csv has none"),
                ("turned.csv", 3, 'image 0 is of class a, "b" for r.csv and of class c for turned.csv'),
                ("twice.csv", 3, "twice.csv has image 0 twice"),
                ("bad.csv", 3, "bad.csv, line 2: expected index, label and predicted class"),
                (".", 2, ". holds no run")):
            self.assertIn(said, mendel("compare", "r.csv", second, code=code))
        # With the same names under other numbers it is the same class.
        turned = [NAMES[1], NAMES[2], NAMES[0]]
        write("renamed.csv", [(i, (label + 2) % 3, (called + 2) % 3) for i, label, called in rows], turned)
        self.assertEqual(compare("r.csv", "renamed.csv")["outcome"], "alike")
        self.assertIn("two halves", mendel("compare", "r.csv", "r.csv", "r.csv", code=2))


if __name__ == "__main__":
    try:
        unittest.main()
    finally:
        SCRATCH.cleanup()
