"""Two processes that torchrun's variables make one run: forks, as a new interpreter takes seconds to import torch."""

import os
import socket
import traceback
from collections.abc import Callable

import torch


def in_two(body: Callable[[], int]) -> list[int]:
    """Exit codes of both, by rank; negative for a signal, 99 where the body raised."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    children = [_start(shared | {"RANK": rank, "LOCAL_RANK": rank}, body) for rank in ("0", "1")]
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def _start(variables: dict[str, str], body: Callable[[], int]) -> int:
    if (child := os.fork()) == 0:
        code = 99
        try:
            os.environ.update(variables)
            torch.set_num_threads(1)  # a pool of threads does not come through a fork
            code = body()
        finally:
            if code == 99:
                traceback.print_exc()
            os._exit(code)
    return child
