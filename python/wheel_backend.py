"""Builds the wheel: meson-python's, with another tag.

The package loads the library by ctypes and has no code for one version of Python, but meson-python
names every wheel with a library inside the package after the version that builds it."""

import subprocess
import sys
from pathlib import Path

import mesonpy

build_sdist = mesonpy.build_sdist
get_requires_for_build_sdist = mesonpy.get_requires_for_build_sdist
get_requires_for_build_wheel = mesonpy.get_requires_for_build_wheel


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = mesonpy.build_wheel(wheel_directory, config_settings, metadata_directory)
    tags = ["--python-tag=py3", "--abi-tag=none", "--remove"]
    command = [sys.executable, "-m", "wheel", "tags", *tags, str(Path(wheel_directory) / name)]
    written = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return written.split()[-1]
