"""Work in other processes."""

import os

import pytest

from realis.core.errors import RunError
from realis.parallel.workers import Workers


def test_a_worker_that_is_killed_is_no_fault_of_what_was_given():
    with Workers(1) as workers, pytest.raises(RunError, match=r"a worker process was killed, .*fewer --workers"):
        list(workers.tasks(os._exit, [1]))
