"""Signals become errors or records in the main thread; other threads change nothing."""

import signal
import subprocess
import sys
import threading

import pytest

from trainer.errors import InterruptError
from trainer.interrupt import SIGNALS, interrupted, interruptible, signals_noted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_an_error_that_tfx_cleans_up_after(number):
    before = signal.getsignal(number)
    with pytest.raises(InterruptError) as error, interruptible():
        signal.raise_signal(number)
    assert error.value.failure.value == number.name
    assert isinstance(error.value, Exception)  # TFX does not clean up after a bare KeyboardInterrupt
    assert error.value.exit_code == 128 + number
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_remembered_to_the_end_of_the_block_only(number):
    assert not interrupted()
    with interruptible():
        assert not interrupted()
        with pytest.raises(InterruptError):
            signal.raise_signal(number)
        assert interrupted()
    assert not interrupted()
    with interruptible():
        assert not interrupted()


def test_a_recorded_signal_is_remembered_too():
    with interruptible():
        with signals_noted() as noted:
            signal.raise_signal(signal.SIGTERM)
            assert noted == [signal.SIGTERM]
            assert interrupted()
        assert interrupted()


def test_the_outer_block_knows_of_a_signal_within_the_inner_one():
    with interruptible():
        with pytest.raises(InterruptError), interruptible():
            signal.raise_signal(signal.SIGINT)
        assert interrupted()


def test_the_further_sighups_of_a_closing_terminal_do_not_disturb_the_cleanup():
    with interruptible():
        with pytest.raises(InterruptError):
            signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        with pytest.raises(InterruptError):  # a person who insists
            signal.raise_signal(signal.SIGINT)


def test_a_sighup_that_was_ignored_at_the_start_stays_ignored():
    """As under nohup: a child ignores the signals that its parent ignores."""
    code = """
import signal
from trainer.interrupt import interrupted, interruptible, signals_noted
with interruptible():
    signal.raise_signal(signal.SIGHUP)
    with signals_noted() as noted:
        signal.raise_signal(signal.SIGHUP)
    print(noted, interrupted(), signal.getsignal(signal.SIGHUP) == signal.SIG_IGN)
"""
    done = subprocess.run(
        ["sh", "-c", 'trap "" HUP; exec "$0" -c "$1"', sys.executable, code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[] False True\n"


@pytest.mark.parametrize("block", [interruptible, signals_noted])
def test_in_another_thread_the_handlers_stay_as_they_are(block):
    before = [signal.getsignal(number) for number in SIGNALS]
    found = []

    def work():
        with block():
            found.extend(signal.getsignal(number) for number in SIGNALS)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == before


def test_another_thread_does_not_forget_what_came_to_the_main_one():
    def work():
        with interruptible():
            pass

    with interruptible():
        with pytest.raises(InterruptError):
            signal.raise_signal(signal.SIGTERM)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert interrupted()
