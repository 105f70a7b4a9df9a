"""The examples in Python run, with small models."""

import contextlib
import io
import os
import pathlib
import runpy
import unittest

import numpy as np
from scratch import Scratch, train

EXAMPLES = pathlib.Path(
    os.environ.get("MENDEL_EXAMPLES", pathlib.Path(__file__).resolve().parents[2] / "examples")
)


def run(name, *arguments):
    """What examples/NAME prints."""
    main = runpy.run_path(str(EXAMPLES / name))["main"]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        main(*arguments)
    return printed.getvalue()


class Examples(Scratch):
    def test_train_numpy(self):
        printed = run("train_numpy.py", pathlib.Path("runs"), 1)
        self.assertIn("merged.safetensors: ", printed)
        self.assertTrue(pathlib.Path("runs/merged.safetensors").exists())

    def test_predict(self):
        np.save("images.npy", np.zeros([2, 8, 8], np.uint8))
        printed = run("predict.py", train("model.safetensors"), "images.npy")
        self.assertRegex(printed, r"^0: class \d, [\d.]+ %\n1: class \d, [\d.]+ %\n$")


if __name__ == "__main__":
    unittest.main()
