"""What the functions of the package share: a call with configuration and images."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import byref
from typing import Any

from . import _library
from ._config import Config, ConfigLike
from ._data import DataLike, resolve
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
