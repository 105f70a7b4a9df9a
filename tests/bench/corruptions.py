#!/usr/bin/env python3
"""Mean absolute change by corruption and severity: Mendel's beside the published formulas'.

usage: corruptions.py DUMP CIFAR [--images N] [--frost DIR] [--limit PERCENT]

DUMP is the program dump_corruptions (build/tests/dump_corruptions), CIFAR the folder of
test_batch.bin.  The formulas and numbers are those of D. Hendrycks and T. Dietterich, "Benchmarking
Neural Network Robustness to Common Corruptions and Perturbations" (2019), in their form for 32x32
images, written anew with NumPy, SciPy and Pillow.  Their frost is a crop of photographs: it is
compared where --frost names a folder of them.  Exit code 1 where a difference is above the limit.
"""
import argparse
import glob
import io
import os
import subprocess
import sys

import numpy as np
from PIL import Image
from scipy import ndimage

KINDS = ["Gaussian noise", "shot noise", "impulse noise", "defocus blur", "glass blur", "motion blur",
         "zoom blur", "snow", "frost", "fog", "brightness", "contrast", "elastic", "pixelate", "JPEG"]
SIDE = 32
random = np.random.default_rng(1)


def smooth(image, sigma, **options):
    """A Gaussian over rows and columns, the edge repeated."""
    options = {"mode": "nearest", "truncate": 4.0, **options}
    return ndimage.gaussian_filter(image, (sigma, sigma) + (0,) * (image.ndim - 2), **options)


def smear(image, radius, sigma, degrees):
    """ImageMagick's motion blur: a half Gaussian along a line of whole pixels, the edge repeated."""
    width = 2 * int(np.ceil(radius)) + 1
    weights = np.exp(-np.arange(width) ** 2 / (2 * sigma ** 2))
    angle = np.deg2rad(degrees)
    total, rows, columns = np.zeros(image.shape), *np.indices((SIDE, SIDE))
    for i, weight in enumerate(weights / weights.sum()):
        x, y = int(np.ceil(i * np.cos(angle) - 0.5)), int(np.ceil(i * np.sin(angle) - 0.5))
        total += weight * image[np.clip(rows + y, 0, SIDE - 1), np.clip(columns + x, 0, SIDE - 1)]
    return total


def enlarge(image, zoom):
    part = int(np.ceil(SIDE / zoom))
    first = (SIDE - part) // 2
    middle = image[first:first + part, first:first + part]
    factors = (zoom, zoom) + (1,) * (image.ndim - 2)
    grown = ndimage.zoom(middle, factors, order=1)
    cut = (grown.shape[0] - SIDE) // 2
    return grown[cut:cut + SIDE, cut:cut + SIDE]


def plasma(decay):
    """Diamond-square on a torus; the wobble is multiplied by itself, so it falls by decay squared."""
    grid, step, wobble = np.zeros((SIDE, SIDE)), SIDE, 100.0

    def noisy(total):
        return total / 4 + wobble * random.uniform(-wobble, wobble, total.shape)

    while step >= 2:
        half = step // 2
        corners = grid[::step, ::step]
        right = corners + np.roll(corners, -1, 1)
        grid[half::step, half::step] = noisy(right + np.roll(right, -1, 0))
        middles = grid[half::step, half::step]
        grid[::step, half::step] = noisy(middles + np.roll(middles, 1, 0) + right)
        down = corners + np.roll(corners, -1, 0)
        grid[half::step, ::step] = noisy(middles + np.roll(middles, 1, 1) + down)
        step, wobble = half, wobble / decay
    grid -= grid.min()
    return grid / grid.max()


def gaussian_noise(x, s):
    return x + random.normal(size=x.shape, scale=[.04, .06, .08, .09, .10][s])


def shot_noise(x, s):
    photons = [500, 250, 100, 75, 50][s]
    return random.poisson(x * photons) / photons


def impulse_noise(x, s):
    chosen = random.random(x.shape) < [.01, .02, .03, .05, .07][s]
    return np.where(chosen, random.random(x.shape) < 0.5, x)


def defocus_blur(x, s):
    radius, sigma = [(.3, .4), (.4, .5), (.5, .6), (1, .2), (1.5, .1)][s]
    near = np.arange(-8, 9)
    disk = (near[:, None] ** 2 + near[None, :] ** 2 <= radius ** 2).astype(float)
    line = np.exp(-np.arange(-1, 2) ** 2 / (2 * sigma ** 2))
    kernel = ndimage.convolve(disk / disk.sum(), np.outer(line, line) / line.sum() ** 2, mode="mirror")
    return np.stack([ndimage.correlate(x[..., c], kernel, mode="mirror") for c in range(3)], -1)


def glass_blur(x, s):
    sigma, rounds = [(.05, 1), (.25, 1), (.4, 1), (.25, 2), (.4, 2)][s]
    x = (smooth(x, sigma) * 255).astype(np.uint8)
    for _ in range(rounds):
        for row in range(SIDE - 1, 1, -1):
            for column in range(SIDE - 1, 1, -1):
                left, up = random.integers(-1, 1, 2)
                x[row, column] = x[row + up, column + left]  # what their swap of views does
    return smooth(x / 255, sigma)


def motion_blur(x, s):
    radius, sigma = [(6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)][s]
    return smear(x, radius, sigma, random.uniform(-45, 45))


def zoom_blur(x, s):
    zooms = np.arange(1, [1.06, 1.11, 1.16, 1.21, 1.26][s], 0.01)
    return (x + sum(enlarge(x, zoom) for zoom in zooms)) / (len(zooms) + 1)


def snow(x, s):
    mean, deviation, zoom, least, radius, sigma, stay = [
        (.1, .2, 1, .6, 8, 3, .95), (.1, .2, 1, .5, 10, 4, .9), (.15, .3, 1.75, .55, 10, 4, .9),
        (.25, .3, 2.25, .6, 12, 6, .85), (.3, .3, 1.25, .65, 14, 12, .8)][s]
    layer = enlarge(random.normal(size=(SIDE, SIDE), loc=mean, scale=deviation), zoom)
    layer = np.clip(np.where(layer < least, 0, layer), 0, 1)
    layer = smear(layer, radius, sigma, random.uniform(-135, -45))[..., None]
    grey = (x @ [.299, .587, .114])[..., None]
    x = stay * x + (1 - stay) * np.maximum(x, 1.5 * grey + 0.5)
    return x + layer + np.rot90(layer, 2)


def frost(x, s):
    keep, ice = [(1, .2), (1, .3), (.9, .4), (.85, .4), (.75, .45)][s]
    photo = photographs[random.integers(5)]
    row, column = random.integers(photo.shape[0] - SIDE), random.integers(photo.shape[1] - SIDE)
    return keep * x + ice * photo[row:row + SIDE, column:column + SIDE]


def fog(x, s):
    thickness, decay = [(.2, 3), (.5, 3), (.75, 2.5), (1, 2), (1.5, 1.75)][s]
    most = x.max()
    return (x + thickness * plasma(decay)[..., None]) * most / (most + thickness)


def brightness(x, s):
    value = x.max(-1, keepdims=True)
    raised = np.minimum(value + [.05, .1, .15, .2, .3][s], 1)
    return np.where(value > 0, x * raised / np.maximum(value, 1e-9), raised)


def contrast(x, s):
    mean = x.mean((0, 1), keepdims=True)
    return (x - mean) * [.75, .5, .4, .3, .15][s] + mean


def elastic(x, s):
    reach, sigma, shift = [(0, 0, .08), (.05, .2, .07), (.08, .06, .06), (.1, .04, .05), (.1, .03, .03)][s]
    third, middle = SIDE // 3, SIDE // 2
    here = np.array([[middle + third, middle + third], [middle + third, middle - third],
                     [middle - third, middle - third]], float)  # x, y
    there = here + random.uniform(-shift * SIDE, shift * SIDE, here.shape)
    back = np.linalg.solve(np.c_[there, np.ones(3)], here)  # the inverse map: (x, y, 1) to (x, y)
    y, x_ = np.mgrid[:SIDE, :SIDE].astype(float)
    source = np.stack([x_, y, np.ones_like(y)], -1) @ back
    warp = [ndimage.map_coordinates(x[..., c], [source[..., 1], source[..., 0]], order=1, mode="mirror")
            for c in range(3)]
    move = [reach * SIDE * smooth(random.uniform(-1, 1, (SIDE, SIDE)), sigma * SIDE, mode="reflect",
                                  truncate=3) for _ in range(2)]
    return np.stack([ndimage.map_coordinates(plane, [y + move[1], x_ + move[0]], order=1,
                                             mode="reflect") for plane in warp], -1)


def picture(x):
    return Image.fromarray(np.uint8(np.rint(x * 255)))


def pixelate(x, s):
    side = int(SIDE * [.95, .9, .85, .75, .65][s])
    small = picture(x).resize((side, side), Image.BOX)
    return np.asarray(small.resize((SIDE, SIDE), Image.BOX)) / 255


def jpeg(x, s):
    file = io.BytesIO()
    picture(x).save(file, "JPEG", quality=[80, 65, 58, 50, 40][s])
    return np.asarray(Image.open(file)) / 255


FORMULAS = [gaussian_noise, shot_noise, impulse_noise, defocus_blur, glass_blur, motion_blur, zoom_blur,
            snow, frost, fog, brightness, contrast, elastic, pixelate, jpeg]


def read_photographs(folder):
    files = sorted(glob.glob(os.path.join(folder, "frost*")))
    images = [Image.open(name).convert("RGB") for name in files[:5]]
    return [np.asarray(i.resize((i.width // 5, i.height // 5), Image.BILINEAR, reducing_gap=None)) / 255
            for i in images]


def main():
    global photographs
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dump")
    parser.add_argument("cifar")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--frost")
    parser.add_argument("--limit", type=float, default=15)
    args = parser.parse_args()
    photographs = read_photographs(args.frost) if args.frost else []
    records = np.fromfile(os.path.join(args.cifar, "test_batch.bin"), np.uint8).reshape(-1, 3073)
    images = records[:args.images, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    out = subprocess.run([args.dump], input=images.tobytes(), stdout=subprocess.PIPE, check=True).stdout
    ours = np.frombuffer(out, np.uint8).reshape(15, 5, *images.shape)
    worst = 0
    print(f"{'mean absolute change of 0..255':<32}" + "".join(f"{'severity ' + str(s):>20}" for s in range(1, 6)))
    for k, formula in enumerate(FORMULAS):
        if formula is frost and not photographs:
            continue
        line = f"{KINDS[k]:<32}"
        for s in range(5):
            theirs = np.mean([np.abs(np.uint8(np.clip(formula(image / 255, s), 0, 1) * 255).astype(float)
                                     - image).mean() for image in images])
            mine = np.abs(ours[k, s].astype(float) - images).mean()
            difference = 100 * (mine / theirs - 1)
            worst = max(worst, abs(difference))
            line += f"{mine:7.2f} {theirs:6.2f} {difference:+4.0f}%"
        print(line, flush=True)
    print(f"largest difference {worst:.1f} % (ours, published, ours against it)")
    return 1 if worst > args.limit else 0


if __name__ == "__main__":
    sys.exit(main())
