"""Ctrl-C ends a block even where something inside hides it."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from autoadapt.interrupts import check, heeding


@pytest.fixture(autouse=True)
def python_handles_ctrl_c() -> Iterator[None]:
    """Shells start background processes with SIGINT ignored, and Python leaves it so."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def swallow() -> None:
    try:
        press_ctrl_c()
    except KeyboardInterrupt:
        return


def disguise() -> None:
    swallow()
    raise RuntimeError("unexpected pos 64 vs 0")


def test_a_plain_interrupt_passes() -> None:
    with pytest.raises(KeyboardInterrupt), heeding():
        press_ctrl_c()


def test_a_swallowed_interrupt_ends_the_block() -> None:
    block = contextlib.ExitStack()
    block.enter_context(heeding())
    swallow()
    with pytest.raises(KeyboardInterrupt):
        block.close()


def test_long_work_can_ask_whether_an_interrupt_was_swallowed() -> None:
    with contextlib.suppress(KeyboardInterrupt), heeding():
        check()
        swallow()
        with pytest.raises(KeyboardInterrupt):
            check()
    check()  # outside a block nobody waits for it any more


def test_an_interrupt_that_became_an_error_is_an_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt) as caught, heeding():
        disguise()
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(ZeroDivisionError), heeding():
        raise ZeroDivisionError


def test_a_block_inside_hears_of_what_was_pressed_before() -> None:
    inner = contextlib.ExitStack()
    with contextlib.suppress(KeyboardInterrupt), heeding():
        swallow()
        inner.enter_context(heeding())
        with pytest.raises(KeyboardInterrupt):
            inner.close()


def test_what_was_pressed_in_an_earlier_block_is_over() -> None:
    with pytest.raises(KeyboardInterrupt), heeding():
        swallow()
    with heeding():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_another_handler_is_left_alone() -> None:
    seen = []
    signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    with heeding():
        press_ctrl_c()
    assert seen == [signal.SIGINT]


def test_other_threads_do_not_touch_handlers() -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            with heeding():
                pass
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not errors
