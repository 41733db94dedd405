"""Ctrl-C that cannot get lost.

Python turns Ctrl-C into an exception at whatever line is running, and some of those lines belong
to callbacks of compiled code. That code may print the exception and go on, or fail in a way of
its own: a ``torch.save`` that is interrupted while it hands bytes over ends with a RuntimeError
about a position in the file. Taken at its word, this would be the failure of a candidate.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

_asked = threading.Event()


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    _asked.set()
    raise KeyboardInterrupt


def check() -> None:
    """Raise KeyboardInterrupt if Ctrl-C was pressed in a running ``heeding`` block and got lost."""
    if _asked.is_set() and signal.getsignal(signal.SIGINT) is _interrupt:
        raise KeyboardInterrupt


@contextlib.contextmanager
def heeding() -> Iterator[None]:
    """End the block with KeyboardInterrupt if Ctrl-C was pressed, whatever became of it inside.

    Long work in the block calls ``check`` now and then, so as not to end later than it must.

    A block inside another one also heeds what was pressed before it began. Where Python does not
    turn Ctrl-C into KeyboardInterrupt, in other threads and under another handler, nothing
    changes.
    """
    handler = signal.getsignal(signal.SIGINT)
    main = threading.current_thread() is threading.main_thread()
    if not main or handler not in (signal.default_int_handler, _interrupt):
        yield
        return
    if handler is not _interrupt:
        _asked.clear()
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    except Exception as error:
        if _asked.is_set():
            raise KeyboardInterrupt from error
        raise
    finally:
        signal.signal(signal.SIGINT, handler)
    if _asked.is_set():
        raise KeyboardInterrupt
