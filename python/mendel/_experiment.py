"""Experiments, and the report of what is in a folder."""

from __future__ import annotations

import os
from ctypes import byref, c_void_p
from typing import Any

from . import _library
from ._call import Callback, told
from ._config import Config, ConfigLike
from ._library import check, count, encode, encode_optional, library, take_json, take_text
from ._work import Work


def experiment(
    config: ConfigLike,
    out: str | os.PathLike[str],
    resume: bool = False,
    overwrite: bool = False,
    on_step: Callback | None = None,
    on_epoch: Callback | None = None,
    on_progress: Callback | None = None,
) -> dict[str, Any]:
    """Train, merge and compare what ``config`` names, on the images of its ``data.source``.

    The folder ``out`` keeps what is done: an experiment that was stopped goes on there.  ``on_step``
    is called with a dict (``text``, ``step``, ``steps``, ``seconds_left``) when a step begins,
    ``on_epoch`` as by :func:`train`, ``on_progress`` with what happens within a step; a true value
    stops.  The result is the table: rows, comparisons and findings as docs/formats.md has them.

    >>> import mendel
    >>> tiny = {"model.width": 0.25, "model.depth": 0.34, "data": {"size": "native", "limit": 40},
    ...         "train": {"epochs": 1, "batch": 8}, "merge": {"evaluations": 4, "archive": 2},
    ...         "experiment": {"seeds": 1, "baseline": True, "hybrid": False}}
    >>> result = mendel.experiment(tiny, "comparison")
    >>> result["rows"][0]["kind"]
    'mean'
    """
    work = Work()
    made = Config(config)
    options = _library.ExperimentOptions(
        resume=resume,
        overwrite=overwrite,
        on_step=told(work, _library.ExperimentFunction, on_step),
        on_epoch=told(work, _library.EpochFunction, on_epoch),
        on_progress=told(work, _library.ExperimentProgressFunction, on_progress, wait=False),
    )
    arguments = made.handle, encode(out, "out"), byref(options)
    return dict(work.call(library.mdl_experiment, *arguments, keep=(made, options)))


def report(
    folder: str | os.PathLike[str], html: str | os.PathLike[str] | None = None
) -> dict[str, Any]:
    """Write report.html and report.md of a folder: an experiment, a training, a search, an
    evaluation.  ``html`` is another name for the page, ending in .html; the Markdown goes beside it.
    gnuplot and Graphviz draw the pictures.

    >>> import mendel
    >>> small = {"model.kind": "mlp", "data.size": "native", "train.epochs": 1}
    >>> _ = mendel.train(small, "digits", out="reported")
    >>> mendel.report("reported")["html"]
    'reported/report.html'
    """
    options = _library.ReportOptions(html=encode_optional(html, "html"))
    path = encode(folder, "folder")
    return dict(Work().call(library.mdl_report, path, byref(options), keep=options))


def report_text(folder: str | os.PathLike[str], columns: int = 80, tests: bool = False) -> str:
    """The table of a finished experiment for a terminal, with its tests where they are asked for.

    >>> import mendel
    >>> mendel.report_text("nowhere")
    Traceback (most recent call last):
        ...
    mendel.errors.DataError: there is no nowhere/table.json
    """
    text = c_void_p()
    check(
        library.mdl_report_text(
            None, encode(folder, "folder"), count(columns, "columns"), tests, byref(text)
        )
    )
    return take_text(text)


def run_status(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """How far the training, the search or the experiment in a folder is (docs/formats.md, status).

    >>> import mendel
    >>> mendel.run_status("nowhere")
    Traceback (most recent call last):
        ...
    mendel.errors.DataError: nowhere is not there
    """
    text = c_void_p()
    check(library.mdl_run_status(None, encode(folder, "folder"), byref(text)))
    return dict(take_json(text))
