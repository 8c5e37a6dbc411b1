import signal

import pytest

from pipeline.interrupt import interruptible
from trainer.errors import InterruptError


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_an_error_that_tfx_cleans_up_after(number):
    before = signal.getsignal(number)
    with pytest.raises(InterruptError, match=number.name) as error, interruptible():
        signal.raise_signal(number)
    assert isinstance(error.value, Exception)  # TFX does not clean up after a bare KeyboardInterrupt
    assert error.value.exit_code == 128 + number
    assert signal.getsignal(number) is before
