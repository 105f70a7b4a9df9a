"""Mendel trains small vision models and merges them, on the processor that is there.

    >>> import mendel
    >>> small = {"model.kind": "mlp", "data.size": "native", "train.epochs": 3}
    >>> result = mendel.train(small, "digits", checkpoint="model.safetensors")
    >>> mendel.evaluate("model.safetensors", "digits")["top1"] > 0.5
    True

Results are plain dicts, errors are exceptions (:class:`MendelError`), and lines of the log go to the
logger "mendel".  Other Python threads run while the library computes; several calls may run at once.
"""

from ._compare import compare
from ._config import keys
from ._convert import convert
from ._data import Data, fetch
from ._evaluate import evaluate
from ._experiment import experiment, report, report_text, run_status
from ._export import export
from ._library import decode as _decode
from ._library import library as _library_handle
from ._merge import align, evolve, interpolate, merge, recalibrate
from ._predictor import Predictor, Shape
from ._train import devices, plan, train
from .errors import (
    Cancelled,
    ConfigError,
    DataError,
    DeviceError,
    MemoryLimitError,
    MendelError,
    NumericError,
)


def version() -> str:
    """The library's version.

    >>> import mendel
    >>> len(mendel.version().split("."))
    3
    """
    return _decode(_library_handle.mdl_version())


__version__ = version()

__all__ = [
    "Cancelled",
    "ConfigError",
    "Data",
    "DataError",
    "DeviceError",
    "MemoryLimitError",
    "MendelError",
    "NumericError",
    "Predictor",
    "Shape",
    "align",
    "compare",
    "convert",
    "devices",
    "evaluate",
    "evolve",
    "experiment",
    "export",
    "fetch",
    "interpolate",
    "keys",
    "merge",
    "plan",
    "recalibrate",
    "report",
    "report_text",
    "run_status",
    "train",
    "version",
]
