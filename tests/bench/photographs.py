"""JPEG files of the size of photographs, of two classes: photographs.py FOLDER COUNT.

They go to FOLDER/train/CLASS/ and, a tenth as many, to FOLDER/test/CLASS/.  Each is smooth with
some texture, so that its file is about as long as a photograph's.  Needs Pillow and NumPy; without
them the exit code is 77.
"""
import os
import sys

try:
    import numpy
    from PIL import Image
except ImportError as missing:
    print(missing)
    sys.exit(77)

SIZES = [(375, 500), (500, 375), (333, 500)]


def picture(rng, label, height, width):
    rough = rng.integers(0, 256, (6, 8, 3), dtype=numpy.uint8)
    rough[..., label] //= 3
    smooth = numpy.asarray(Image.fromarray(rough).resize((width, height), Image.BICUBIC), dtype=float)
    return numpy.clip(smooth + rng.normal(0, 12, smooth.shape), 0, 255).astype(numpy.uint8)


def main(folder, count):
    rng = numpy.random.default_rng(1)
    for side, images in (("train", count), ("test", max(count // 10, 2))):
        for i in range(images):
            label = i % 2
            path = os.path.join(folder, side, ("cat", "dog")[label])
            os.makedirs(path, exist_ok=True)
            pixels = picture(rng, label, *SIZES[i % len(SIZES)])
            Image.fromarray(pixels).save(os.path.join(path, f"{i:06}.jpg"), quality=85)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
