"""Training, and what it needs in memory."""

from __future__ import annotations

import os
from typing import Any

from . import _library
from ._call import Callback, call, told
from ._config import Config, ConfigLike
from ._data import DataLike, resolve
from ._library import encode_optional, library
from ._work import Work


def train(
    config: ConfigLike = None,
    data: DataLike = None,
    out: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    on_step: Callback | None = None,
    on_epoch: Callback | None = None,
) -> dict[str, Any]:
    """Train a model.

    ``config`` is a dict of keys (``mendel.keys()``), flat or nested, the path of a YAML file, or a
    tuple of both, of which later ones count.  ``data`` is a source (``"digits"``,
    ``"folder:photos"``), a pair ``(x, y)`` of arrays to train on, or a :class:`mendel.Data`; None is
    what ``data.source`` names.

    Into the folder ``out`` go the checkpoints, the metrics and what ``resume`` goes on from;
    ``checkpoint`` is a file for the final weights.  ``overwrite`` removes the run that the folder
    holds.

    ``on_step`` and ``on_epoch`` are called with a dict, on the thread of the call: loss, top1 and
    the rest of ``mdl_train_step`` and ``mdl_train_epoch``; a ``validation_top1`` that was not
    measured is NaN.  The training waits for ``on_epoch``; from the main thread it goes on during
    ``on_step``, and waits when the next one is due.  One that returns a true value stops the training, which raises
    :class:`mendel.Cancelled`; an exception in it stops the training, too, and comes out of this
    function.  So does KeyboardInterrupt by Ctrl-C.  What was done is saved in ``out``, and
    ``resume=True`` goes on to the bytes of a training that was never stopped.

    >>> import mendel
    >>> small = {"model.kind": "mlp", "data.size": "native", "train": {"epochs": 2}}
    >>> result = mendel.train(small, "digits", checkpoint="digits.safetensors",
    ...                       on_epoch=lambda epoch: print("epoch", epoch["epoch"]))
    epoch 1
    epoch 2
    >>> result["epochs"], result["validation_top1"] > 0.5
    (2, True)
    """
    work = Work()
    options = _library.TrainOptions(
        out=encode_optional(out, "out"),
        checkpoint=encode_optional(checkpoint, "checkpoint"),
        resume=resume,
        overwrite=overwrite,
        on_step=told(work, _library.StepFunction, on_step, wait=False),
        on_epoch=told(work, _library.EpochFunction, on_epoch),
    )
    return call(library.mdl_train, config, data, options, work=work)


def plan(config: ConfigLike = None, data: DataLike = None) -> dict[str, Any]:
    """What a training with this configuration needs in memory, in bytes, before anything runs.

    >>> import mendel
    >>> plan = mendel.plan({"train.batch": 64, "run.memory_limit": "400MB"}, "digits")
    >>> plan["fits"], plan["total"] <= 400e6
    (True, True)
    """
    made = Config(config)
    images = resolve(data, made, "train")
    return dict(
        Work().call(
            library.mdl_plan_training,
            made.handle,
            images.pointer if images is not None else None,
            keep=(made, images),
        )
    )


def devices() -> list[dict[str, Any]]:
    """The backends and their devices.

    >>> import mendel
    >>> "cpu" in [device["backend"] for device in mendel.devices()]
    True
    """
    return list(Work().call(library.mdl_devices))
