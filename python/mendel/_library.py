"""The shared library: where it is, and its functions and structs as ctypes knows them.

The structs and functions are those of include/mendel/*.h, in their order."""

from __future__ import annotations

import ctypes
import json
import operator
import re
import os
import sys
from collections.abc import Sequence
from ctypes import (
    CFUNCTYPE,
    POINTER,
    c_char,
    c_char_p,
    c_double,
    c_int,
    c_size_t,
    c_uint64,
    c_void_p,
)
from pathlib import Path
from typing import Any

from .errors import error_of

# ---- structs -------------------------------------------------------------------------------------


class Images(ctypes.Structure):
    _fields_ = [("pixels", c_void_p), ("labels", c_void_p), ("count", c_size_t)]


class ImagesShape(ctypes.Structure):
    _fields_ = [
        ("height", c_size_t),
        ("width", c_size_t),
        ("channels", c_size_t),
        ("classes", c_size_t),
        ("class_names", POINTER(c_char_p)),
    ]


class PredictorShape(ctypes.Structure):
    _fields_ = [
        ("height", c_size_t),
        ("width", c_size_t),
        ("channels", c_size_t),
        ("classes", c_size_t),
    ]


class FileResult(ctypes.Structure):
    _fields_ = [("status", c_int), ("detail", c_char * 512)]


class TrainStep(ctypes.Structure):
    _fields_ = [
        ("epoch", c_uint64),
        ("epochs", c_uint64),
        ("batch", c_uint64),
        ("batches", c_uint64),
        ("loss", c_double),
        ("top1", c_double),
        ("images_per_second", c_double),
        ("seconds_left", c_double),
    ]


class TrainEpoch(ctypes.Structure):
    _fields_ = [
        ("epoch", c_uint64),
        ("step", c_uint64),
        ("lr", c_double),
        ("train_loss", c_double),
        ("train_top1", c_double),
        ("validation_loss", c_double),
        ("validation_top1", c_double),
        ("images_per_second", c_double),
        ("seconds", c_double),
    ]


class EvolveStep(ctypes.Structure):
    _fields_ = [
        ("evaluations", c_uint64),
        ("total", c_uint64),
        ("best_top1", c_double),
        ("mean_top1", c_double),
        ("niches", c_double),
        ("per_second", c_double),
        ("seconds_left", c_double),
        ("members", c_uint64),
        ("abandoned", c_uint64),
    ]


class ExperimentStep(ctypes.Structure):
    _fields_ = [
        ("text", c_char_p),
        ("step", c_uint64),
        ("steps", c_uint64),
        ("seconds_left", c_double),
    ]


class ExperimentProgress(ctypes.Structure):
    _fields_ = [
        ("step", c_uint64),
        ("steps", c_uint64),
        ("seconds_left", c_double),
        ("train", POINTER(TrainStep)),
        ("search", POINTER(EvolveStep)),
        ("what", c_char_p),
        ("done", c_uint64),
        ("total", c_uint64),
    ]


LogFunction = CFUNCTYPE(None, c_void_p, c_int, c_char_p)
BeginFunction = CFUNCTYPE(c_int, c_void_p, c_char_p)
StepFunction = CFUNCTYPE(c_int, c_void_p, POINTER(TrainStep))
EpochFunction = CFUNCTYPE(c_int, c_void_p, POINTER(TrainEpoch))
ProgressFunction = CFUNCTYPE(c_int, c_void_p, c_char_p, c_size_t, c_size_t)
PartFunction = CFUNCTYPE(c_int, c_void_p, c_double, c_double)
EvolveFunction = CFUNCTYPE(c_int, c_void_p, POINTER(EvolveStep))
ExperimentFunction = CFUNCTYPE(c_int, c_void_p, POINTER(ExperimentStep))
ExperimentProgressFunction = CFUNCTYPE(c_int, c_void_p, POINTER(ExperimentProgress))
FetchFunction = CFUNCTYPE(c_int, c_void_p, c_uint64, c_uint64)


class Options(ctypes.Structure):
    """Options begin with their size, so that a newer library knows which fields are there."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(size=ctypes.sizeof(self), **fields)


class TrainOptions(Options):
    _fields_ = [
        ("size", c_size_t),
        ("out", c_char_p),
        ("checkpoint", c_char_p),
        ("resume", c_int),
        ("overwrite", c_int),
        ("numbered", c_int),
        ("on_begin", BeginFunction),
        ("on_step", StepFunction),
        ("on_epoch", EpochFunction),
        ("user", c_void_p),
    ]


class EvaluateOptions(Options):
    _fields_ = [
        ("size", c_size_t),
        ("split", c_char_p),
        ("batch", c_size_t),
        ("steps", c_size_t),
        ("logits", c_void_p),
        ("n_logits", c_size_t),
        ("predictions", c_char_p),
        ("out", c_char_p),
        ("overwrite", c_int),
        ("calibration", c_int),
        ("robustness", c_int),
        ("tta", c_int),
        ("by_step", c_int),
        ("latency", c_int),
        ("images", c_size_t),
        ("on_progress", ProgressFunction),
        ("user", c_void_p),
        ("mistakes", c_size_t),
        ("all_logits", POINTER(POINTER(c_double))),
    ]


class CompareOptions(Options):
    _fields_ = [
        ("size", c_size_t),
        ("split", c_char_p),
        ("batch", c_size_t),
        ("out", c_char_p),
        ("overwrite", c_int),
        ("on_progress", ProgressFunction),
        ("user", c_void_p),
    ]


class MergeOptions(Options):
    _fields_ = [
        ("size", c_size_t),
        ("method", c_char_p),
        ("trunk", c_char_p),
        ("ratio", c_double),
        ("density", c_double),
        ("scale", c_double),
        ("overwrite", c_int),
        ("tensors", c_int),
        ("shard_size", c_uint64),
        ("resume", c_int),
        ("on_progress", PartFunction),
        ("user", c_void_p),
    ]


class EvolveOptions(Options):
    _fields_ = [
        ("size", c_size_t),
        ("method", c_char_p),
        ("resume", c_int),
        ("overwrite", c_int),
        ("numbered", c_int),
        ("on_begin", BeginFunction),
        ("on_step", EvolveFunction),
        ("user", c_void_p),
    ]


class AlignOptions(Options):
    _fields_ = [("size", c_size_t), ("method", c_char_p), ("overwrite", c_int)]


class RecalibrateOptions(Options):
    _fields_ = [("size", c_size_t), ("images", c_size_t), ("overwrite", c_int)]


class InterpolateOptions(Options):
    _fields_ = [
        ("size", c_size_t),
        ("method", c_char_p),
        ("points", c_size_t),
        ("out", c_char_p),
        ("overwrite", c_int),
    ]


class ExportOptions(Options):
    _fields_ = [
        ("size", c_size_t),
        ("with_preprocessing", c_int),
        ("all_steps", c_int),
        ("steps", c_size_t),
        ("overwrite", c_int),
    ]


class ConvertOptions(Options):
    _fields_ = [
        ("size", c_size_t),
        ("dtype", c_char_p),
        ("preset", c_char_p),
        ("overwrite", c_int),
    ]


class DataFetchOptions(Options):
    _fields_ = [
        ("size", c_size_t),
        ("folder", c_char_p),
        ("url", c_char_p),
        ("md5", c_char_p),
        ("sha256", c_char_p),
        ("on_progress", FetchFunction),
        ("user", c_void_p),
    ]


class ExperimentOptions(Options):
    _fields_ = [
        ("size", c_size_t),
        ("resume", c_int),
        ("overwrite", c_int),
        ("numbered", c_int),
        ("on_begin", BeginFunction),
        ("on_step", ExperimentFunction),
        ("on_epoch", EpochFunction),
        ("on_progress", ExperimentProgressFunction),
        ("user", c_void_p),
    ]


class ReportOptions(Options):
    _fields_ = [("size", c_size_t), ("html", c_char_p)]


# ---- functions -----------------------------------------------------------------------------------

_HANDLE = c_void_p
_OUT = POINTER(c_void_p)  # a handle or a text that the function gives
_TEXTS = POINTER(c_char_p)
_STATUS = c_int

_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {  # name: what it returns, what it takes
    "mdl_status_text": (c_char_p, [c_int]),
    "mdl_error_detail": (c_char_p, []),
    "mdl_free": (None, [c_void_p]),
    "mdl_config_create": (_STATUS, [_OUT]),
    "mdl_config_destroy": (None, [_HANDLE]),
    "mdl_config_set": (_STATUS, [_HANDLE, c_char_p, c_char_p]),
    "mdl_config_read": (_STATUS, [_HANDLE, c_char_p]),
    "mdl_config_keys": (_STATUS, [_OUT]),
    "mdl_context_create": (_STATUS, [_OUT]),
    "mdl_context_destroy": (None, [_HANDLE]),
    "mdl_context_set_log": (None, [_HANDLE, LogFunction, c_void_p]),
    "mdl_context_stop": (None, [_HANDLE]),
    "mdl_data_open": (_STATUS, [_HANDLE, c_char_p, _HANDLE, _OUT]),
    "mdl_data_from_memory": (
        _STATUS,
        [_HANDLE, POINTER(Images), POINTER(Images), POINTER(ImagesShape), _HANDLE, _OUT],
    ),
    "mdl_data_close": (None, [_HANDLE]),
    "mdl_data_describe": (_STATUS, [_HANDLE, _OUT]),
    "mdl_data_fetch": (_STATUS, [_HANDLE, c_char_p, POINTER(DataFetchOptions), _OUT]),
    "mdl_experiment": (
        _STATUS,
        [_HANDLE, _HANDLE, c_char_p, POINTER(ExperimentOptions), _OUT],
    ),
    "mdl_report": (_STATUS, [_HANDLE, c_char_p, POINTER(ReportOptions), _OUT]),
    "mdl_run_status": (_STATUS, [_HANDLE, c_char_p, _OUT]),
    "mdl_report_text": (_STATUS, [_HANDLE, c_char_p, c_size_t, c_int, _OUT]),
    "mdl_version": (c_char_p, []),
    "mdl_predictor_open": (_STATUS, [c_char_p, c_char_p, c_int, c_size_t, _OUT]),
    "mdl_predictor_close": (None, [_HANDLE]),
    "mdl_predictor_get_shape": (PredictorShape, [_HANDLE]),
    "mdl_predictor_run": (_STATUS, [_HANDLE, c_void_p, c_size_t, c_void_p]),
    "mdl_predictor_run_files": (
        _STATUS,
        [_HANDLE, _TEXTS, c_size_t, c_void_p, POINTER(FileResult)],
    ),
    "mdl_predictor_probabilities": (_STATUS, [_HANDLE, c_void_p, c_size_t, c_void_p]),
    "mdl_predictor_class_name": (c_char_p, [_HANDLE, c_size_t]),
    "mdl_train": (_STATUS, [_HANDLE, _HANDLE, _HANDLE, POINTER(TrainOptions), _OUT]),
    "mdl_evaluate": (
        _STATUS,
        [_HANDLE, _HANDLE, _HANDLE, c_char_p, POINTER(EvaluateOptions), _OUT],
    ),
    "mdl_compare": (
        _STATUS,
        [_HANDLE, _HANDLE, _HANDLE, _TEXTS, _TEXTS, c_size_t, POINTER(CompareOptions), _OUT],
    ),
    "mdl_merge": (
        _STATUS,
        [_HANDLE, _HANDLE, _HANDLE, _TEXTS, c_size_t, c_char_p, POINTER(MergeOptions), _OUT],
    ),
    "mdl_evolve": (
        _STATUS,
        [_HANDLE, _HANDLE, _HANDLE, _TEXTS, c_size_t, c_char_p, POINTER(EvolveOptions), _OUT],
    ),
    "mdl_align": (
        _STATUS,
        [_HANDLE, _HANDLE, _HANDLE, c_char_p, c_char_p, c_char_p, POINTER(AlignOptions), _OUT],
    ),
    "mdl_recalibrate": (
        _STATUS,
        [_HANDLE, _HANDLE, _HANDLE, c_char_p, c_char_p, POINTER(RecalibrateOptions), _OUT],
    ),
    "mdl_interpolate": (
        _STATUS,
        [_HANDLE, _HANDLE, _HANDLE, c_char_p, c_char_p, POINTER(InterpolateOptions), _OUT],
    ),
    "mdl_export": (
        _STATUS,
        [_HANDLE, _HANDLE, c_char_p, c_char_p, POINTER(ExportOptions), _OUT],
    ),
    "mdl_convert": (
        _STATUS,
        [_HANDLE, c_char_p, c_char_p, POINTER(ConvertOptions), _OUT],
    ),
    "mdl_plan_training": (_STATUS, [_HANDLE, _HANDLE, _HANDLE, _OUT]),
    "mdl_devices": (_STATUS, [_HANDLE, _OUT]),
}


def _candidates() -> list[str]:
    """Where the library may be: $MENDEL_LIBRARY alone, or else beside the package (a wheel), in the
    build folder of the sources that the package lies in, in the system."""
    given = os.environ.get("MENDEL_LIBRARY", "")
    if given != "":
        return [given]
    mac = sys.platform == "darwin"
    here = Path(__file__).resolve().parent
    plain = "libmendel.dylib" if mac else "libmendel.so"
    files = [here / plain, here.parent.parent / "build" / plain]
    return [str(file) for file in files if file.exists()] + [
        "libmendel.0.dylib" if mac else "libmendel.so.0"
    ]


def _load() -> ctypes.CDLL:
    tried = []
    for name in _candidates():
        try:
            library = ctypes.CDLL(name)  # calls by CDLL let other Python threads run meanwhile
            for function, (result, arguments) in _FUNCTIONS.items():
                getattr(library, function).restype = result
                getattr(library, function).argtypes = arguments
            return library
        except (OSError, AttributeError) as error:
            tried.append(str(error))
    raise ImportError(
        "mendel: the shared library libmendel cannot be loaded; install it, or set MENDEL_LIBRARY "
        "to its file. Tried: " + "; ".join(tried)
    )


library = _load()

# ---- what all calls share ------------------------------------------------------------------------


def check(status: int) -> None:
    """Raise the exception for the status of a call that this thread just made."""
    if status != 0:
        raise error_of(status, last_detail(status))


def last_detail(status: int) -> str:
    """The detail of this thread's last failure."""
    return decode(library.mdl_error_detail() or library.mdl_status_text(status))


def encode(text: str | os.PathLike[str], what: str) -> bytes:
    """A text or a path for C; bytes that are not UTF-8 are surrogates in Python."""
    data = os.fsencode(text)
    if b"\0" in data:
        raise ValueError(f"{what}: a text with a NUL character in it: {text!r}")
    return data


def encode_optional(text: str | os.PathLike[str] | None, what: str) -> bytes | None:
    return None if text is None else encode(text, what)


def texts(paths: Sequence[str | os.PathLike[str]]) -> Any:
    """Paths for C: an array of texts."""
    if isinstance(paths, (str, bytes, os.PathLike)):
        raise TypeError("expected a list of paths, got a single one")
    return (c_char_p * len(paths))(*[encode(path, "path") for path in paths])


def count(value: int, what: str, most: int = 2**31 - 1) -> int:
    """A number for C, where a negative one would be a huge one."""
    number = operator.index(value)
    if not 0 <= number <= most:
        raise ValueError(f"{what}: expected a number from 0 to {most}, got {number}")
    return number


ESCAPE = re.compile(rb"\\x([0-9A-Fa-f]{2})")  # a byte of a name (docs/formats.md)


def decode(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def take_text(text: c_void_p) -> str:
    """A text that the library gave, which is freed."""
    try:
        return decode(ctypes.string_at(text.value or b""))
    finally:
        library.mdl_free(text)


def unescaped(value: Any) -> Any:
    r"""A value of JSON whose texts have \xHH for bytes that are not UTF-8: with these as surrogates.

    A path in it can be opened then, because Python keeps such bytes of a path in the same way.
    """
    if isinstance(value, dict):
        return {key: unescaped(part) for key, part in value.items()}
    if isinstance(value, list):
        return [unescaped(part) for part in value]
    if isinstance(value, str) and "\\x" in value:
        return decode(ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), value.encode()))
    return value


def take_json(text: c_void_p) -> Any:
    """The value of a JSON text that the library gave, which is freed; None where there is none."""
    return unescaped(json.loads(take_text(text))) if text.value else None
