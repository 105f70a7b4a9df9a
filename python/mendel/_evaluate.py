"""Accuracy of a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Callable
from ctypes import POINTER, c_double, pointer
from typing import Any

import numpy as np

from . import _library
from ._call import call
from ._config import ConfigLike
from ._data import DataLike
from ._library import count, decode, encode, encode_optional, library
from ._work import Work


def evaluate(
    checkpoint: str | os.PathLike[str],
    data: DataLike = None,
    config: ConfigLike = None,
    split: str = "test",
    batch: int = 0,
    steps: int = 0,
    predictions: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    calibration: bool = False,
    robustness: bool = False,
    tta: bool = False,
    by_step: bool = False,
    latency: bool = False,
    images: int = 1000,
    on_progress: Callable[[str, int, int], Any] | None = None,
    mistakes: int = 0,
    logits: bool = False,
) -> dict[str, Any]:
    """Accuracy and loss of a checkpoint on ``split``: "train", "validation" or "test".

    A pair ``(x, y)`` as ``data`` is the images to test on, or with another split those to train on,
    of which the validation split is a part.  What the checkpoint carries counts (the model, the
    normalisation), and only a dict in ``config`` goes before it.  ``batch`` is how many images run
    at once and ``steps`` the supervision steps of the TRM; 0 is what suits.

    ``predictions`` is a CSV file for label, prediction and logits of each image, ``out`` a file for
    the result; where a run that has ended wrote such a file, ``overwrite`` replaces it.
    ``calibration``, ``robustness`` (common corruptions), ``tta`` (flips and shifts), ``by_step`` and
    ``latency`` look closer; ``images`` is how many are taken for robustness and tta, 0 all.
    ``on_progress`` is called with what is done, how much, and of how much; a true value stops.

    ``result["classes"]`` says where it errs: precision, recall and F1 of each class, each with
    ``_low`` and ``_high``, the ``confusion`` matrix (rows: the class, columns: what its images were
    called), and the pairs that are most ``confused``.  ``mistakes`` is how many of the wrong answers
    that it is surest of ``result["mistakes"]`` has; the first 32 have a thumbnail ``image``, a PNG
    file in base 64.  With ``logits``, ``result["logits"]`` is a float64 array ``[images, classes]``,
    in the order of the split.

    Where the loss is not finite, :class:`mendel.NumericError` has the result.

    >>> import mendel
    >>> small = {"model.kind": "mlp", "data.size": "native", "train.epochs": 2}
    >>> _ = mendel.train(small, "digits", checkpoint="evaluated.safetensors")
    >>> result = mendel.evaluate("evaluated.safetensors", "digits")
    >>> result["images"], result["low"] < result["top1"] < result["high"]
    (360, True)
    >>> [sum(row) for row in result["classes"]["confusion"]]
    [35, 36, 35, 37, 37, 37, 37, 36, 33, 37]
    """
    work = Work()
    made = POINTER(c_double)()
    options = _library.EvaluateOptions(
        split=encode(split, "split"),
        batch=count(batch, "batch"),
        steps=count(steps, "steps"),
        predictions=encode_optional(predictions, "predictions"),
        out=encode_optional(out, "out"),
        overwrite=overwrite,
        calibration=calibration,
        robustness=robustness,
        tta=tta,
        by_step=by_step,
        latency=latency,
        images=count(images, "images"),
        on_progress=work.callback(
            _library.ProgressFunction,
            on_progress,
            lambda what, done, total: (decode(what), done, total),
        ),
        mistakes=count(mistakes, "mistakes"),
        all_logits=pointer(made) if logits else None,
    )
    path = encode(checkpoint, "checkpoint")
    side = "test" if split == "test" else "train"
    try:
        result = call(library.mdl_evaluate, config, data, options, path, side=side, work=work)
        if logits:
            shape = result["images"], result["classes"]["count"]
            result["logits"] = np.ctypeslib.as_array(made, shape).copy()
        return result
    finally:
        library.mdl_free(made)
