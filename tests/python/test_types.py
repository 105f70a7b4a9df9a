"""What typed programs see of the package: mypy --strict has nothing to say of typed.py."""

import os
import pathlib
import subprocess
import sys
import unittest

import mendel

PACKAGE = pathlib.Path(mendel.__file__).parent


class Types(unittest.TestCase):
    def test_strict(self):
        file = pathlib.Path(__file__).resolve().parent / "typed.py"
        command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", os.devnull, str(file)]
        environment = {**os.environ, "MYPYPATH": str(PACKAGE.parent)}
        if "site-packages" in PACKAGE.parts or "dist-packages" in PACKAGE.parts:
            del environment["MYPYPATH"]  # it is found as any installed package is
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        if "No module named mypy" in done.stderr:
            self.skipTest("there is no mypy")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_marked(self):
        self.assertTrue((PACKAGE / "py.typed").exists())


if __name__ == "__main__":
    unittest.main()
