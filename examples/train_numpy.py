"""Train on NumPy arrays, branch, merge the branches, and predict, all from Python.

Two models are trained on from one trunk and merged; the lines between them say whether that works.
With matplotlib the curves and the line are drawn into numpy.png.
usage: train_numpy.py [FOLDER [EPOCHS]]"""

import sys
from pathlib import Path

import mendel
import numpy as np


def make_images(count, seed):
    """Images [count, 16, 16, 1] of four kinds of stripes in noise, and their kinds."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, count)
    row, column = np.mgrid[0:16, 0:16]
    waves = np.stack([row, column, row + column, row - column])[labels]
    shift = random.integers(0, 6, [count, 1, 1])
    bright = 80 * (((waves + shift) % 6) < 3)
    noise = random.integers(0, 150, [count, 16, 16])
    return (bright + noise).astype(np.uint8)[..., np.newaxis], labels


def draw(path, curves, line):
    """Loss by epoch, and the loss on the line between the branches."""
    try:
        import matplotlib
    except ImportError:
        print("There is no matplotlib, so nothing is drawn.")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for name, losses in curves.items():
        left.plot(range(1, len(losses) + 1), losses, label=name)
    left.set(xlabel="epoch", ylabel="loss in training")
    left.legend()
    for part in line["lines"]:
        if not part["aligned"]:
            name = "statistics re-estimated" if part["recalibrated"] else "plain"
            right.plot(line["t"], part["loss"], label=name)
    right.set(xlabel="from the first branch to the second", ylabel="loss on validation")
    right.legend()
    figure.savefig(path)
    print(f"The curves are in {path}.")


def main(folder, epochs):
    folder.mkdir(parents=True, exist_ok=True)
    names = ["rows", "columns", "rising", "falling"]
    data = mendel.Data(
        train=make_images(800, seed=1), test=make_images(200, seed=2), class_names=names
    )
    config = {
        "model": {"width": 0.25, "depth": 0.34},
        "data": {"size": "native"},
        "train": {"epochs": epochs, "batch": 32},
        "optim.lr": 0.01,
    }
    curves = {}

    def train(name, **keys):
        path, losses = folder / f"{name}.safetensors", []
        result = mendel.train(
            (config, keys),
            data,
            checkpoint=path,
            on_epoch=lambda epoch: losses.append(epoch["train_loss"]),
        )
        print(f"{name}: {100 * result['validation_top1']:.1f} % on the validation split")
        curves[name] = losses
        return path

    trunk = train("trunk")
    first, second = (
        train(f"branch-{seed}", **{"train.init": trunk, "run.seed": seed}) for seed in (1, 2)
    )
    merged = folder / "merged.safetensors"
    mendel.merge([first, second], merged, data=data, overwrite=True)
    for path in first, second, merged:
        result = mendel.evaluate(path, data)
        print(f"{path.name}: {100 * result['top1']:.1f} % of {result['images']} test images")

    with mendel.Predictor(merged) as predictor:
        images, labels = make_images(3, seed=3)
        for chances, label in zip(predictor.probabilities(images), labels):
            best = chances.argmax()
            print(f"{names[label]}: {names[best]} with {100 * chances[best]:.0f} %")

    draw(folder / "numpy.png", curves, mendel.interpolate(first, second, data, points=5))


if __name__ == "__main__":
    arguments = sys.argv[1:] + ["runs/numpy", "6"][len(sys.argv) - 1 :]
    main(Path(arguments[0]), int(arguments[1]))
