"""Print the class of each image, and how sure the model is.

usage: predict.py CHECKPOINT IMAGES.npy
  IMAGES.npy  uint8 [n, height, width, channels], of the size that the model takes, by numpy.save"""

import sys

import mendel
import numpy as np


def main(checkpoint, path):
    images = np.load(path, mmap_mode="r")  # only what a batch needs is read
    with mendel.Predictor(checkpoint) as predictor:
        for i, chances in enumerate(predictor.probabilities(images)):
            print(f"{i}: class {chances.argmax()}, {100 * chances.max():.1f} %")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: predict.py CHECKPOINT IMAGES.npy")
    try:
        main(*sys.argv[1:])
    except (mendel.MendelError, OSError, TypeError, ValueError) as error:
        sys.exit(f"predict.py: {error}")
