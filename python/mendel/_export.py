"""A network for other runtimes."""

from __future__ import annotations

import os
from ctypes import byref
from typing import Any

from . import _library
from ._config import Config, ConfigLike
from ._library import count, encode, library
from ._work import Work


def export(
    checkpoint: str | os.PathLike[str],
    out: str | os.PathLike[str],
    config: ConfigLike = None,
    with_preprocessing: bool = False,
    all_steps: bool = False,
    steps: int = 0,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write a checkpoint's network as ONNX into the file ``out``, for a batch of any size.

    Its input ``images`` is float32 ``[n, channels, height, width]``, normalised; with
    ``with_preprocessing`` uint8 ``[n, height, width, channels]``.  Its output is ``logits``; with
    ``all_steps`` also those of each supervision step of a hybrid.  ``steps`` 0 is as trained.

    >>> import mendel
    >>> small = {"model.kind": "mlp", "data.size": "native", "train.epochs": 1}
    >>> _ = mendel.train(small, "digits", checkpoint="export.safetensors")
    >>> mendel.export("export.safetensors", "export.onnx", with_preprocessing=True)["out"]
    'export.onnx'
    """
    made = Config(config)
    options = _library.ExportOptions(
        with_preprocessing=with_preprocessing,
        all_steps=all_steps,
        steps=count(steps, "steps"),
        overwrite=overwrite,
    )
    paths = encode(checkpoint, "checkpoint"), encode(out, "out")
    return dict(
        Work().call(library.mdl_export, made.handle, *paths, byref(options), keep=(made, options))
    )
