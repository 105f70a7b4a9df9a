"""Predictions of a checkpoint for arrays."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from ctypes import byref, c_void_p
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._data import pixels_of
from ._library import FileResult, check, count, decode, encode, library, texts
from .errors import MendelError, error_of


class Shape(NamedTuple):
    """Shape of an image that a model takes, and its number of classes."""

    height: int
    width: int
    channels: int
    classes: int


class Predictor:
    """A checkpoint that predicts; it carries what the network is and how images are prepared.

    ``backend`` is as the key ``run.backend``, ``threads`` 0 is all processors, ``batch`` is how many
    images run at once, and what memory is planned for.  Several threads may share one; they wait for
    each other.  A process that was forked opens its own, and one that is pickled is opened anew from
    its checkpoint.

    Images are uint8 arrays ``[n, height, width, channels]``, or ``[n, height, width]`` for one
    channel, with the values of the training data; they are read in place where they are
    C-contiguous.

    >>> import mendel, numpy
    >>> small = {"model.kind": "mlp", "data.size": "native", "train.epochs": 1}
    >>> _ = mendel.train(small, "digits", checkpoint="predictor.safetensors")
    >>> with mendel.Predictor("predictor.safetensors", threads=1) as predictor:
    ...     print(predictor.shape)
    ...     images = numpy.zeros([3, 8, 8], numpy.uint8)
    ...     print(predictor.logits(images).shape, predictor.predict(images).shape)
    ...     print(predictor.probabilities(images).sum(axis=1).round(6))
    Shape(height=8, width=8, channels=1, classes=10)
    (3, 10) (3,)
    [1. 1. 1.]
    """

    def __init__(
        self,
        checkpoint: str | os.PathLike[str],
        backend: str = "cpu",
        threads: int = 0,
        batch: int = 64,
    ) -> None:
        self._pointer = c_void_p()
        self._process = os.getpid()
        self._arguments = os.path.abspath(os.fsdecode(checkpoint)), backend, threads, batch
        self._lock = threading.Lock()
        if batch < 1:
            raise ValueError(f"batch: expected a number from 1, got {batch}")
        check(
            library.mdl_predictor_open(
                encode(checkpoint, "checkpoint"),
                encode(backend, "backend"),
                count(threads, "threads"),
                count(batch, "batch"),
                byref(self._pointer),
            )
        )
        self._batch = batch
        got = library.mdl_predictor_get_shape(self._pointer)
        self._shape = Shape(got.height, got.width, got.channels, got.classes)
        names = [library.mdl_predictor_class_name(self._pointer, i) for i in range(got.classes)]
        self._names = None if None in names else [decode(name) for name in names]

    @property
    def shape(self) -> Shape:
        """(height, width, channels, classes)"""
        return self._shape

    @property
    def class_names(self) -> list[str] | None:
        """The names of the classes, in the order of their numbers; None where there are none."""
        return self._names

    def logits(self, x: Any) -> NDArray[np.float32]:
        """The logits, float32 ``[n, classes]``."""
        pixels = pixels_of(x)
        if pixels.shape[1:] != self._shape[:3]:
            raise ValueError(
                f"x: expected images of {list(self._shape[:3])} (height, width, channels), got "
                f"{list(pixels.shape[1:])}"
            )
        out = np.empty((len(pixels), self._shape.classes), np.float32)
        step = self._batch
        for at in range(0, len(pixels), step):  # between batches Ctrl-C is answered
            self._run(pixels[at : at + step], out[at : at + step])
        return out

    def _run(self, pixels: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
        self._call(library.mdl_predictor_run, pixels.ctypes.data, len(pixels), out.ctypes.data)

    def _call(self, function: Any, *arguments: Any) -> None:
        if not self._is_here():
            raise RuntimeError(
                "predictor: it was opened before this process was forked, and its threads are not "
                "here; open one in each process"
            )
        with self._lock:
            if not self._pointer:
                raise ValueError("predictor: it is closed")
            check(function(self._pointer, *arguments))

    def logits_of_files(
        self, paths: Sequence[str | os.PathLike[str]]
    ) -> tuple[NDArray[np.float32], list[MendelError | None]]:
        """The logits of JPEG and PNG files, float32 ``[n, classes]``, and for each file None or the
        error for which it could not be read; its row is NaN then.  Images are resized."""
        out = np.empty((len(paths), self._shape.classes), np.float32)
        results = (FileResult * len(paths))()
        self._call(
            library.mdl_predictor_run_files, texts(paths), len(paths), out.ctypes.data, results
        )
        errors = [
            error_of(result.status, decode(result.detail)) if result.status != 0 else None
            for result in results
        ]
        return out, errors

    def probabilities(self, x: Any) -> NDArray[np.float64]:
        """The probabilities, float64 ``[n, classes]``; each row sums to 1."""
        logits = self.logits(x)
        out = np.empty(logits.shape, np.float64)
        function = library.mdl_predictor_probabilities
        self._call(function, logits.ctypes.data, len(logits), out.ctypes.data)
        return out

    def predict(self, x: Any) -> NDArray[np.intp]:
        """The class of each image, its number, ``[n]``."""
        return np.asarray(self.logits(x).argmax(axis=1))

    def close(self) -> None:
        """Free the network; several times is allowed."""
        if not self._is_here():
            return  # the process that opened it does that
        with self._lock:
            library.mdl_predictor_close(self._pointer)
            self._pointer = c_void_p()

    def _is_here(self) -> bool:
        return self._process == os.getpid()

    def __reduce__(self) -> tuple[type[Predictor], tuple[Any, ...]]:
        return Predictor, self._arguments

    def __enter__(self) -> Predictor:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        pointer = getattr(self, "_pointer", None)
        if pointer and self._is_here():
            library.mdl_predictor_close(pointer)
