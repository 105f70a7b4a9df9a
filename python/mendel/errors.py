"""What goes wrong, as exceptions: a class for each group of the library's statuses."""

from __future__ import annotations

from typing import Any


class MendelError(Exception):
    """Any failure that the library reports; its text is the detail: what, where, and what to do.

    ``status`` is the number of the status in ``mendel/status.h``, and ``result`` what was computed
    all the same (only :func:`mendel.evaluate` has some), or None.

    >>> import mendel
    >>> try:
    ...     mendel.plan({"train.epoch": 3})
    ... except mendel.MendelError as error:
    ...     print(error.status, type(error).__name__, "train.epochs" in str(error))
    -4 ConfigError True
    """

    def __init__(self, detail: str, status: int = 0, result: dict[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.result = result


class ConfigError(MendelError, ValueError):
    """An argument or a key of the configuration is wrong, or two of them contradict each other."""


class DataError(MendelError, OSError):
    """Images or a file: missing, malformed, unwritable, not fitting, with a wrong checksum."""


class DeviceError(MendelError, RuntimeError):
    """A device or a backend is not there, failed, or does not support what was asked."""


class NumericError(MendelError, ArithmeticError):
    """A loss or weights are not finite numbers."""


class MemoryLimitError(MendelError, MemoryError):
    """The work does not fit the memory, or ``run.memory_limit``."""


class Cancelled(MendelError):
    """The work was stopped, by a callback that returned True; what was done is saved."""


_CLASSES: dict[int, type[MendelError]] = {
    -1: MemoryLimitError,  # NO_MEMORY
    -2: ConfigError,  # INVALID
    -3: DataError,  # SHAPE
    -4: ConfigError,  # CONFIG
    -5: DataError,  # IO
    -6: DataError,  # FORMAT
    -7: DataError,  # NOT_FOUND
    -8: DeviceError,  # UNSUPPORTED
    -9: DeviceError,  # DEVICE
    -10: NumericError,  # NUMERIC
    -11: Cancelled,  # CANCELLED
    -12: DataError,  # CHECKSUM
    -13: MemoryLimitError,  # MEMORY_LIMIT
}


def error_of(status: int, detail: str, result: dict[str, Any] | None = None) -> MendelError:
    """The exception for a status that is not 0."""
    return _CLASSES.get(status, MendelError)(detail, status, result)
