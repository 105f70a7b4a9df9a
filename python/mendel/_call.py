"""What the functions of the package share: a call with configuration and images."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from ctypes import byref, c_char_p
from typing import Any

from . import _library
from ._config import Config, ConfigLike
from ._data import DataLike, resolve
from ._library import encode
from ._work import Work, fields

Callback = Callable[[dict[str, Any]], Any]


def call(
    function: Callable[..., int],
    config: ConfigLike,
    data: DataLike,
    options: _library.Options,
    *arguments: Any,
    side: str = "train",
    work: Work | None = None,
) -> dict[str, Any]:
    """Call ``function(context, config, data, *arguments, options, &result)``."""
    made = Config(config)
    images = resolve(data, made, side)
    pointer = images.pointer if images is not None else None
    return dict(
        (work or Work()).call(
            function, made.handle, pointer, *arguments, byref(options), keep=(made, images, options)
        )
    )


def told(work: Work, kind: Any, function: Callback | None, wait: bool = True) -> Any:
    """A callback that gets the fields of a struct as a dict."""
    return work.callback(kind, function, lambda struct: (fields(struct.contents),), wait)


def paths(checkpoints: Sequence[Any]) -> Any:
    """Paths for C: an array of texts."""
    if isinstance(checkpoints, (str, bytes, os.PathLike)):
        raise TypeError("checkpoints: expected a list of paths, got a single one")
    return (c_char_p * len(checkpoints))(*[encode(path, "checkpoints") for path in checkpoints])
