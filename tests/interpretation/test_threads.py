"""One thread while small networks train, all of them again after."""

from contextlib import suppress

import pytest
import torch

from deepchrome.interpretation.threads import one_thread


@pytest.mark.parametrize(("device", "within"), [("cpu", 1), ("meta", 2)])
def test_threads_are_given_back(device, within):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with suppress(ZeroDivisionError), one_thread(torch.device(device)):
            assert torch.get_num_threads() == within
            raise ZeroDivisionError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
