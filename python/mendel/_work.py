"""A call that may take long: it can be stopped, tells the log and calls back.

From the main thread the library works on a thread beside, because a signal's handler (Ctrl-C) runs
only where the main thread executes Python.  Callbacks still run on the thread that called."""

from __future__ import annotations

import ctypes
import logging
import queue
import threading
from collections.abc import Callable
from ctypes import byref, c_void_p
from typing import Any

from . import _library
from ._library import check, decode, last_detail, library, take_json
from .errors import error_of

_logger = logging.getLogger("mendel")
_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING)


def _log(user: Any, level: int, text: bytes) -> None:
    _logger.log(_LEVELS[level], "%s", decode(text))


_log_function = _library.LogFunction(_log)


def fields(struct: Any) -> dict[str, Any]:
    """What a callback is told, as a dict; a struct that is not there is None."""
    return {field[0]: _plain(getattr(struct, field[0])) for field in struct._fields_}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return decode(value)
    if isinstance(value, ctypes._Pointer):
        return fields(value.contents) if value else None
    return value


class Work:
    """One call: its context, its callbacks, and the first exception that stops it."""

    def __init__(self) -> None:
        self._context = c_void_p()
        self._error: BaseException | None = None
        self._beside = threading.current_thread() is threading.main_thread()
        self._requests: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
        self._answered = threading.Event()
        self._answered.set()
        self._ended = threading.Event()
        self._stopped = False
        check(library.mdl_context_create(byref(self._context)))
        library.mdl_context_set_log(self._context, _log_function, None)

    def __del__(self) -> None:  # the thread beside holds a reference while it works
        library.mdl_context_destroy(self._context)

    @property
    def context(self) -> c_void_p:
        return self._context

    # ---- callbacks -------------------------------------------------------------------------------

    def callback(
        self,
        kind: Any,
        function: Callable[..., Any] | None,
        convert: Callable[..., tuple[Any, ...]],
        wait: bool = True,
    ) -> Any:
        """`function` for C; `convert` makes its arguments of those of C, apart from the first.
        Where the work does not `wait`, it goes on meanwhile, and waits at its next callback."""
        if function is None:
            return kind()

        def called(user: Any, *arguments: Any) -> int:
            given = convert(*arguments)  # now, because C's structs are valid during the call only
            return self._ask(lambda: function(*given), wait)

        return kind(called)

    def _run(self, request: Callable[[], Any]) -> None:
        """Stop where a callback returns what is true or raises; after that none is called."""
        try:
            if not self._stopped and request():
                self._stop()
        except BaseException as error:
            self._stop(error)

    def _ask(self, request: Callable[[], Any], wait: bool) -> int:
        """Have a callback run where the call came from.  One at a time is on its way."""
        if self._beside:
            self._await_answer()
            self._answered.clear()
            self._requests.put(request)
            if wait:
                self._await_answer()
        else:
            self._run(request)
        return int(self._stopped)

    def _await_answer(self) -> None:
        while not self._answered.wait(1) and not self._stopped:
            pass

    def _stop(self, error: BaseException | None = None) -> None:
        self._stopped = True
        self._error = self._error or error
        library.mdl_context_stop(self._context)

    # ---- the call --------------------------------------------------------------------------------

    def call(self, function: Callable[..., int], *arguments: Any, keep: Any = None) -> Any:
        """Call ``function(context, *arguments, &result)`` and return its result; `keep` is what
        must live until then."""
        outcome: list[Any] = []
        if self._beside:
            thread = threading.Thread(
                target=self._call_beside, args=(outcome, function, arguments, keep), name="mendel"
            )
            try:
                thread.start()
                self._serve()
            except BaseException as error:  # a second signal, just while the first was answered
                self._stop(error)
                raise
        else:
            self._call(outcome, function, arguments)
        if self._error is not None:
            caught, self._error = self._error, None
            try:
                raise caught
            finally:
                del caught  # it refers to this frame
        status, detail, result = outcome
        if status != 0:
            raise error_of(status, detail, result)
        return result

    def _call(self, outcome: list[Any], function: Any, arguments: tuple[Any, ...]) -> None:
        text = c_void_p()
        status = function(self._context, *arguments, byref(text))
        detail = last_detail(status) if status != 0 else ""  # it is this thread's
        outcome[:] = (status, detail, take_json(text))

    def _call_beside(
        self, outcome: list[Any], function: Any, arguments: tuple[Any, ...], keep: Any
    ) -> None:
        try:
            self._call(outcome, function, arguments)
        except BaseException as error:
            self._error = self._error or error
        finally:
            self._ended.set()
            self._requests.put(None)

    def _serve(self) -> None:
        """Run callbacks until the work has ended.  An exception that a signal's handler raises
        anywhere in here stops the work, and the callback that may wait is answered."""
        while True:
            try:
                while not (self._ended.is_set() and self._requests.empty()):
                    request = self._requests.get()
                    if request is not None:
                        self._run(request)
                        self._answered.set()
                return
            except BaseException as error:
                self._stop(error)
                self._answered.set()
