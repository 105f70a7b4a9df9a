"""Merging, searching, aligning, and what lies between two checkpoints."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from . import _library
from ._call import Callback, call, told
from ._config import ConfigLike
from ._data import DataLike
from ._library import count, encode, encode_optional, library, texts
from ._work import Work


def merge(
    checkpoints: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str] | None = None,
    method: str = "average",
    data: DataLike = None,
    config: ConfigLike = None,
    trunk: str | os.PathLike[str] | None = None,
    ratio: float | None = None,
    density: float | None = None,
    scale: float | None = None,
    overwrite: bool = False,
    tensors: bool = False,
    shard_size: int = 0,
    resume: bool = False,
) -> dict[str, Any]:
    """Make one checkpoint, the file ``out``, of several by a formula.

    ``method`` is "average", "slerp" (``ratio``: 0 is the first, 1 the second), "greedy" (a soup),
    "ties" or "dare" (``trunk``, ``density``, ``scale``), or "ensemble", which writes no file.  Tensor
    by tensor there are also "linear" (``merge.weights``), "nuslerp", "multislerp", "karcher", and
    with a ``trunk`` "task-arithmetic", "model-stock", "dare-ties", "breadcrumbs",
    "breadcrumbs-ties", "della", "della-linear" and "sce".  ``data`` re-estimates BatchNorm's statistics, and is needed by the methods
    that evaluate; the validation split of it judges the result.

    Checkpoints of networks that Mendel does not know, of timm or transformers for instance, are
    merged tensor by tensor (``tensors`` has it so for all), into files of ``shard_size`` bytes
    where that is not 0; ``resume`` goes on with what an interrupted merge left.

    >>> import mendel
    >>> small = {"model.kind": "mlp", "data.size": "native", "train.epochs": 1}
    >>> for seed in 1, 2:
    ...     _ = mendel.train({**small, "run.seed": seed}, "digits", checkpoint=f"merge-{seed}.safetensors")
    >>> result = mendel.merge(["merge-1.safetensors", "merge-2.safetensors"], "average.safetensors")
    >>> result["method"], result["parents"]
    ('average', 2)
    """
    options = _library.MergeOptions(
        method=encode(method, "method"),
        trunk=encode_optional(trunk, "trunk"),
        ratio=_number("ratio", ratio),
        density=_number("density", density),
        scale=_number("scale", scale),
        overwrite=overwrite,
        tensors=tensors,
        shard_size=shard_size,
        resume=resume,
    )
    return call(
        library.mdl_merge,
        config,
        data,
        options,
        texts(checkpoints),
        len(checkpoints),
        encode_optional(out, "out"),
    )


def evolve(
    checkpoints: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    data: DataLike = None,
    config: ConfigLike = None,
    method: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    on_step: Callback | None = None,
) -> dict[str, Any]:
    """Search for a better model among crossings of checkpoints, into the folder ``out``.

    The validation split of ``data`` decides.  ``method`` is "m2n2", "no-attraction",
    "no-crossover-point", "no-crossover", "ga", "ga-no-crossover", "map-elites", "cma-es", "random",
    "line", "layers" or "layers-cma-es"; None is what the ``merge.*`` keys say.  ``on_step`` is called
    with a dict after each batch of children; a true value stops, and ``resume`` goes on.

    >>> import mendel
    >>> small = {"model.kind": "mlp", "data.size": "native", "train.epochs": 1}
    >>> for seed in 1, 2:
    ...     _ = mendel.train({**small, "run.seed": seed}, "digits", checkpoint=f"evolve-{seed}.safetensors")
    >>> result = mendel.evolve(["evolve-1.safetensors", "evolve-2.safetensors"], "search", "digits",
    ...                        {"merge.evaluations": 8, "merge.archive": 4})
    >>> result["evaluations"]
    8
    """
    work = Work()
    options = _library.EvolveOptions(
        method=encode_optional(method, "method"),
        resume=resume,
        overwrite=overwrite,
        on_step=told(work, _library.EvolveFunction, on_step),
    )
    return call(
        library.mdl_evolve,
        config,
        data,
        options,
        texts(checkpoints),
        len(checkpoints),
        encode(out, "out"),
        work=work,
    )


def align(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    out: str | os.PathLike[str],
    method: str = "weights",
    data: DataLike = None,
    config: ConfigLike = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Renumber the channels of ``second`` to correspond to those of ``first``, into the file ``out``.

    ``method`` is "weights", or "activations", which needs ``data``.

    >>> import mendel
    >>> small = {"model.kind": "mlp", "data.size": "native", "train.epochs": 1}
    >>> for seed in 1, 2:
    ...     _ = mendel.train({**small, "run.seed": seed}, "digits", checkpoint=f"align-{seed}.safetensors")
    >>> result = mendel.align("align-1.safetensors", "align-2.safetensors", "aligned.safetensors")
    >>> result["cosine_before"] < result["cosine_after"]
    True
    """
    options = _library.AlignOptions(method=encode(method, "method"), overwrite=overwrite)
    arguments = encode(first, "first"), encode(second, "second"), encode(out, "out")
    return call(library.mdl_align, config, data, options, *arguments)


def interpolate(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    data: DataLike = None,
    config: ConfigLike = None,
    points: int = 11,
    method: str = "weights",
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Accuracy and loss on the straight line between two checkpoints, on the validation split.

    Four lines are measured: plain, with BatchNorm's statistics re-estimated, with ``second`` aligned
    to ``first`` (``method``), and both.  ``out`` is a file for the result.

    >>> import mendel
    >>> small = {"model.kind": "mlp", "data.size": "native", "train.epochs": 1}
    >>> for seed in 1, 2:
    ...     _ = mendel.train({**small, "run.seed": seed}, "digits", checkpoint=f"line-{seed}.safetensors")
    >>> line = mendel.interpolate("line-1.safetensors", "line-2.safetensors", "digits", points=3)
    >>> line["t"], len(line["lines"][0]["top1"])
    ([0.0, 0.5, 1.0], 3)
    """
    options = _library.InterpolateOptions(
        method=encode(method, "method"),
        points=count(points, "points"),
        out=encode_optional(out, "out"),
        overwrite=overwrite,
    )
    arguments = encode(first, "first"), encode(second, "second")
    return call(library.mdl_interpolate, config, data, options, *arguments)


def recalibrate(
    checkpoint: str | os.PathLike[str],
    out: str | os.PathLike[str],
    data: DataLike = None,
    config: ConfigLike = None,
    images: int = 0,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Estimate a checkpoint's BatchNorm statistics anew, into the file ``out``.

    ``images`` is how many of those to train on are used; 0 is all.

    >>> import mendel
    >>> small = {"model.width": 0.25, "model.depth": 0.34, "data.size": "native", "train.max_steps": 2}
    >>> _ = mendel.train(small, "digits", checkpoint="before.safetensors")
    >>> mendel.recalibrate("before.safetensors", "after.safetensors", "digits", images=200)["out"]
    'after.safetensors'
    """
    options = _library.RecalibrateOptions(images=count(images, "images"), overwrite=overwrite)
    arguments = encode(checkpoint, "checkpoint"), encode(out, "out")
    return call(library.mdl_recalibrate, config, data, options, *arguments)


def _number(name: str, value: float | None) -> float:
    """For C, where a negative number stands for the method's own."""
    if value is None:
        return -1.0
    if not value >= 0:
        raise ValueError(f"{name}: expected a number from 0, got {value}")
    return float(value)
