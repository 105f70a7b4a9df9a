"""The configuration of a call: a YAML file, keys and values, or both, as the library's handle."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from ctypes import byref, c_void_p
from typing import Any, Union

from ._library import check, encode, library, take_json

ConfigPart = Union[Mapping[str, Any], str, "os.PathLike[str]"]
ConfigLike = Union[None, ConfigPart, "tuple[ConfigPart, ...]", "list[ConfigPart]"]


def _scalar(key: str, value: Any) -> str:
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()  # NumPy's numbers
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (str, os.PathLike)):
        return str(os.fspath(value))
    raise TypeError(
        f"{key}: expected a bool, a number, a text or a list of them, got {type(value).__name__}"
    )


def value_text(key: str, value: Any) -> str:
    """A value as YAML, as mdl_config_set takes it."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_scalar(key, item) for item in value) + "]"
    return _scalar(key, value)


def flat(keys: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """{"train": {"epochs": 3}} as ("train.epochs", 3)."""
    for key, value in keys.items():
        if not isinstance(key, str):
            raise TypeError(f"config: expected texts as keys, got {key!r}")
        if isinstance(value, Mapping):
            yield from flat(value, before + key + ".")
        else:
            yield before + key, value


class Config:
    """A configuration of the library, destroyed with the last reference."""

    def __init__(self, config: ConfigLike) -> None:
        self.handle = c_void_p()
        check(library.mdl_config_create(byref(self.handle)))
        parts = config if isinstance(config, (tuple, list)) else (config,)
        for part in parts:
            if isinstance(part, Mapping):
                for key, value in flat(part):
                    self.set(key, value)
            elif isinstance(part, (str, os.PathLike)):
                check(library.mdl_config_read(self.handle, encode(part, "config")))
            elif part is not None:
                raise TypeError(
                    "config: expected a dict of keys, the path of a YAML file, or a tuple of them, "
                    f"got {type(part).__name__}"
                )

    def set(self, key: str, value: Any) -> None:
        text = encode(value_text(key, value), key)
        check(library.mdl_config_set(self.handle, encode(key, "config"), text))

    def __del__(self) -> None:
        library.mdl_config_destroy(self.handle)


def keys() -> list[dict[str, str]]:
    """All keys of a configuration: a list of ``{"name", "type", "default", "help"}``.

    >>> import mendel
    >>> [key["default"] for key in mendel.keys() if key["name"] == "train.epochs"]
    ['40']
    """
    text = c_void_p()
    check(library.mdl_config_keys(byref(text)))
    return list(take_json(text))
