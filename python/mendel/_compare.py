"""Whether one of two models is better."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Union

from . import _library
from ._call import call
from ._config import ConfigLike
from ._data import DataLike
from ._library import count, decode, encode, encode_optional, library, texts
from ._work import Work

Models = Union[str, "os.PathLike[str]", Sequence[Union[str, "os.PathLike[str]"]]]


def compare(
    first: Models,
    second: Models,
    data: DataLike = None,
    config: ConfigLike = None,
    split: str = "test",
    batch: int = 0,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    on_progress: Callable[[str, int, int], Any] | None = None,
) -> dict[str, Any]:
    """Compare two models on the same images.

    Each is a checkpoint, the folder of a training or a search (its last model), or a file of
    :func:`mendel.evaluate`'s ``predictions``; or a list of as many on both sides, which are seeds of
    two recipes, or the folder of an experiment.  Where no images are named, they are those of the
    first run.  The result's ``outcome`` is of the first: "better", "worse", "open" (no difference is
    shown), "alike" or "none" (no test is possible), at p < 0.05; ``difference`` is of the accuracies,
    with ``low`` and ``high``.  One pair has McNemar's exact test, also by class; several have the
    paired t-test and exact sign flips.

    >>> import mendel
    >>> small = {"model.kind": "mlp", "data.size": "native", "train.epochs": 1}
    >>> for seed in 1, 2:
    ...     name = f"compared-{seed}.safetensors"
    ...     _ = mendel.train({**small, "run.seed": seed}, "digits", checkpoint=name)
    >>> result = mendel.compare("compared-1.safetensors", "compared-2.safetensors", "digits")
    >>> result["images"], result["low"] <= result["difference"] <= result["high"]
    (360, True)
    """
    work = Work()
    options = _library.CompareOptions(
        split=encode(split, "split"),
        batch=count(batch, "batch"),
        out=encode_optional(out, "out"),
        overwrite=overwrite,
        on_progress=work.callback(
            _library.ProgressFunction,
            on_progress,
            lambda what, done, total: (decode(what), done, total),
        ),
    )
    given = [[m] if isinstance(m, (str, os.PathLike)) else list(m) for m in (first, second)]
    n = len(given[0])
    if n != len(given[1]):
        raise ValueError(f"compare: {n} models on one side, {len(given[1])} on the other")
    names = [texts(models) for models in given]
    side = "test" if split == "test" else "train"
    return call(library.mdl_compare, config, data, options, *names, n, side=side, work=work)
