"""Images with labels: a source by name, or NumPy arrays, which the library reads in place."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from ctypes import byref, c_char_p, c_void_p
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from . import _library
from ._config import Config, ConfigLike
from ._library import Images, ImagesShape, check, encode, encode_optional, library, take_json
from ._work import Work

DataLike = Union[None, str, "Data", "tuple[Any, Any]"]


def pixels_of(x: Any, name: str = "x") -> NDArray[np.uint8]:
    """Images as C-contiguous bytes [n, height, width, channels]: the same memory where it is such,
    else a copy."""
    array = np.asarray(x)
    if array.dtype != np.uint8:
        advice = (
            f"scale it to 0..255 and convert: (255 * {name}).round().astype(numpy.uint8)"
            if array.dtype.kind == "f"
            else f"where all values are 0 to 255, convert: numpy.asarray({name}).astype(numpy.uint8)"
        )
        raise TypeError(f"{name}: expected uint8, got an array of {array.dtype}; {advice}")
    if array.ndim == 3:
        array = array[..., np.newaxis]
    if array.ndim != 4:
        raise ValueError(
            f"{name}: expected the shape [n, height, width, channels], or [n, height, width] for one "
            f"channel, got {list(array.shape)}; a single image is {name}[numpy.newaxis]"
        )
    return np.ascontiguousarray(array)


def _labels_of(y: Any, count: int, name: str) -> NDArray[np.int32]:
    array = np.asarray(y)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected integers, got an array of {array.dtype}")
    if array.shape != (count,):
        raise ValueError(
            f"{name}: expected a label for each of {count} images, got the shape {list(array.shape)}"
        )
    if count > 0 and (array.min() < 0 or array.max() >= 2**31):
        raise ValueError(f"{name}: labels are numbers from 0, got {array.min()} to {array.max()}")
    return np.ascontiguousarray(array, dtype=np.int32)


class _Handle:
    """The library's handle and the arrays that it reads; closed with the last reference, so that
    none is closed that work is running with."""

    def __init__(self) -> None:
        self.pointer = c_void_p()
        self.arrays: list[NDArray[Any]] = []

    def images(self, pair: Any, name: str) -> Images | None:
        if pair is None:
            return None
        try:
            x, y = pair
        except (TypeError, ValueError):
            raise TypeError(f"{name}: expected a pair (x, y) of images and labels") from None
        pixels = pixels_of(x, f"{name} x")
        labels = _labels_of(y, len(pixels), f"{name} y")
        self.arrays += [pixels, labels]
        return Images(pixels.ctypes.data, labels.ctypes.data, len(pixels))

    def __del__(self) -> None:
        library.mdl_data_close(self.pointer)


class Data:
    """Images in arrays, with labels.

    ``train`` and ``test`` are pairs ``(x, y)``, one of them may be None.  ``x`` is an array of uint8
    ``[n, height, width, channels]``, or ``[n, height, width]`` for one channel; where it is
    C-contiguous it is not copied, and must stay as it is while this object is used.  Another layout
    is copied, another dtype is refused.  ``y`` is an array of any integer dtype, ``[n]``, copied.
    ``class_names`` are texts in the order of the labels; ``classes`` is their number, by default one
    more than the greatest label.

    What is made of the images (validation split, size, normalisation, augmentation) follows from
    the ``data.*`` keys of each call.

    >>> import mendel, numpy
    >>> x = numpy.zeros([20, 8, 8], numpy.uint8)
    >>> y = numpy.arange(20) % 2
    >>> with mendel.Data(train=(x, y), class_names=["even", "odd"]) as data:
    ...     print(data.describe()["class_names"])
    ['even', 'odd']
    """

    def __init__(
        self,
        train: tuple[Any, Any] | None = None,
        test: tuple[Any, Any] | None = None,
        class_names: Sequence[str] | None = None,
        classes: int | None = None,
    ) -> None:
        handle = _Handle()
        sides = [handle.images(train, "train"), handle.images(test, "test")]
        names = [encode(name, "class_names") for name in class_names or []]
        shape = ImagesShape(*self._size(handle), self._classes(handle, names, classes))
        if names:
            shape.class_names = (c_char_p * len(names))(*names)
        # These hold for the handle alone; each call makes a view with its own data.* keys.
        config = Config(
            {"data.size": "native", "data.normalize": "unit", "data.validation_fraction": 0}
        )
        images = [byref(side) if side is not None else None for side in sides]
        check(
            library.mdl_data_from_memory(
                None, *images, byref(shape), config.handle, byref(handle.pointer)
            )
        )
        self._handle: _Handle | None = handle

    @classmethod
    def open(cls, source: str, config: ConfigLike = None) -> Data:
        """Read a source once for many calls; ``data.image_size`` and ``data.skip_damaged`` of
        ``config`` say how its files are read.

        >>> import mendel
        >>> mendel.Data.open("digits").describe()["classes"]
        10
        """
        self = cls.__new__(cls)
        handle = _Handle()
        made = Config(config)
        check(
            library.mdl_data_open(
                None, encode(source, "source"), made.handle, byref(handle.pointer)
            )
        )
        self._handle = handle
        return self

    @staticmethod
    def _size(handle: _Handle) -> tuple[int, ...]:
        sizes = {array.shape[1:] for array in handle.arrays[::2]}
        if len(sizes) > 1:
            raise ValueError(f"train and test: images of different sizes, {sorted(sizes)}")
        return sizes.pop() if sizes else (0, 0, 0)

    @staticmethod
    def _classes(handle: _Handle, names: list[bytes], classes: int | None) -> int:
        if names and classes not in (None, len(names)):
            raise ValueError(f"classes is {classes}, but there are {len(names)} class_names")
        if classes is not None and classes < 1:
            raise ValueError(f"classes: expected a number from 1, got {classes}")
        greatest = [int(array.max()) for array in handle.arrays[1::2] if len(array) > 0]
        return len(names) or classes or 1 + max(greatest, default=0)

    def describe(self) -> dict[str, Any]:
        """Its source, classes, class_names, height, width, channels, and the numbers of images."""
        text = c_void_p()
        check(library.mdl_data_describe(self.handle().pointer, byref(text)))
        return dict(take_json(text))

    def handle(self) -> _Handle:
        """The library's handle, for a call."""
        if self._handle is None:
            raise ValueError("data: it is closed")
        return self._handle

    def close(self) -> None:
        """Let go of the arrays, when the last call that uses them has ended."""
        self._handle = None

    def __enter__(self) -> Data:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def fetch(
    name: str,
    folder: str | os.PathLike[str] = "data",
    url: str | None = None,
    md5: str | None = None,
    sha256: str | None = None,
    on_progress: Callable[[int, int], Any] | None = None,
) -> dict[str, Any]:
    """Download a published set ("cifar10", "cifar100") into ``folder`` and check its sums.

    A broken download goes on, and a complete set is left alone.  The result's ``spec`` is what
    ``data`` takes.  ``on_progress`` is called with the bytes so far and in all (0: not known).

    >>> import mendel
    >>> mendel.fetch("no such set")
    Traceback (most recent call last):
        ...
    mendel.errors.ConfigError: 'no such set' cannot be downloaded: expected one of cifar10, cifar100
    """
    work = Work()
    options = _library.DataFetchOptions(
        folder=encode(folder, "folder"),
        url=encode_optional(url, "url"),
        md5=encode_optional(md5, "md5"),
        sha256=encode_optional(sha256, "sha256"),
        on_progress=work.callback(_library.FetchFunction, on_progress, lambda *sizes: sizes, False),
    )
    arguments = encode(name, "name"), byref(options)
    return dict(work.call(library.mdl_data_fetch, *arguments, keep=options))


def resolve(data: DataLike, config: Config, side: str) -> _Handle | None:
    """The handle for a call, None where data.source names it; a pair (x, y) is of `side`."""
    if data is None:
        return None
    if isinstance(data, (str, os.PathLike)):
        config.set("data.source", data)
        return None
    if isinstance(data, Data):
        return data.handle()
    if isinstance(data, (tuple, list)):
        if side == "test":
            return Data(test=data).handle()
        return Data(train=data).handle()
    raise TypeError(
        'data: expected a source such as "digits", a pair (x, y) of arrays, or mendel.Data, got '
        + type(data).__name__
    )
