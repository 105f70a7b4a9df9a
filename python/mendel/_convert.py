"""Checkpoints from elsewhere."""

from __future__ import annotations

import os
from ctypes import byref
from typing import Any

from . import _library
from ._library import encode, encode_optional, library
from ._work import Work


def convert(
    checkpoint: str | os.PathLike[str],
    out: str | os.PathLike[str],
    preset: str | None = None,
    dtype: str | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write a checkpoint of any kind that is read (safetensors, PyTorch's .pt and .pth, several
    files by their index) as one safetensors file ``out``.

    ``preset`` translates the names of a published network and adds what Mendel needs to run it:
    "efficientnet_lite0" (as TensorFlow published it), "efficientnet_lite0_timm" (as timm trained
    it), or "unwrap", which takes away what DataParallel and torch.compile put before names.
    ``dtype`` is ``"f32"``, ``"f16"`` or ``"bf16"``.

    >>> import mendel
    >>> small = {"model.kind": "mlp", "data.size": "native", "train.epochs": 1}
    >>> _ = mendel.train(small, "digits", checkpoint="convert.safetensors")
    >>> mendel.convert("convert.safetensors", "half.safetensors", dtype="bf16")["tensors"]
    4
    """
    options = _library.ConvertOptions(
        dtype=encode_optional(dtype, "dtype"),
        preset=encode_optional(preset, "preset"),
        overwrite=overwrite,
    )
    paths = encode(checkpoint, "checkpoint"), encode(out, "out")
    return dict(Work().call(library.mdl_convert, *paths, byref(options), keep=options))
