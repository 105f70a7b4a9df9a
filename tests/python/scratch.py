"""What the tests of the Python package share: an empty folder, small work, the program."""

import os
import shutil
import subprocess
import tempfile
import unittest

import mendel

SMALL = {
    "model.kind": "mlp",
    "data": {"size": "native", "limit": 200},
    "train": {"epochs": 2, "batch": 32},
    "merge": {"evaluations": 12, "archive": 4},
    "run": {"threads": 1, "tuning": "off"},
}


class Scratch(unittest.TestCase):
    """Each test class works in a folder of its own, which is removed."""

    @classmethod
    def setUpClass(cls):
        cls.before = os.getcwd()
        cls.folder = tempfile.mkdtemp(prefix="mendel-python-")
        os.environ["XDG_CACHE_HOME"] = cls.folder + "/cache"  # no tuning table of this machine
        os.chdir(cls.folder)

    @classmethod
    def tearDownClass(cls):
        os.chdir(cls.before)
        shutil.rmtree(cls.folder)

    def assertSameFile(self, first, second):
        with open(first, "rb") as a, open(second, "rb") as b:
            self.assertTrue(a.read() == b.read(), f"{first} and {second} differ")


def small(**keys):
    """SMALL with other keys, written as train__epochs=3."""
    return [SMALL, {key.replace("__", "."): value for key, value in keys.items()}]


def train(name, seed=1):
    """A small model in the file NAME."""
    mendel.train(small(run__seed=seed), "digits", checkpoint=name)
    return name


def program(*arguments, configured=True):
    """What the program prints for the same work; convert is not `configured`."""
    path = os.environ.get("MENDEL_PROGRAM", "")
    if path == "":
        raise unittest.SkipTest("MENDEL_PROGRAM is not set")
    settings = []
    for key, value in mendel._config.flat(SMALL if configured else {}):
        settings += ["--set", f"{key}={value}"]
    done = subprocess.run(
        [path, *arguments, *settings], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False
    )
    if done.returncode != 0:
        raise AssertionError(f"mendel {arguments[0]}: {done.stderr.decode()}")
    return done.stdout
