"""The processes, on several machines, that share one job. TF_CONFIG lists them."""

import json
import os
import re
import select
import socket
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from utils import UserError

WAIT = 60.0  # seconds until all workers must have started


@dataclass(frozen=True)
class Worker:
    """One of several processes that share a training or a completion."""

    index: int = 0  # 0 is the chief, which alone writes what training leaves
    count: int = 1
    addresses: tuple[str, ...] = field(default=(), compare=False)  # HOST:PORT of each worker

    @classmethod
    def of_cluster(cls) -> "Worker":
        """The worker that TF_CONFIG says this process is. Raises UserError if TF_CONFIG is invalid."""
        if "TF_CONFIG" not in os.environ:
            return cls()
        try:
            config = json.loads(os.environ["TF_CONFIG"])
            cluster, task = config["cluster"], config["task"]
            addresses = cluster["worker"]
            worker = cls(int(task["index"]), len(addresses), tuple(addresses))
            if len(cluster) > 1 or task["type"] != "worker" or not 0 <= worker.index < worker.count:
                raise ValueError
            if not isinstance(addresses, list) or not all(re.fullmatch(r"\S+:\d+", each) for each in addresses):
                raise ValueError
            return worker
        except (ValueError, TypeError, LookupError, AttributeError):
            raise UserError(
                "TF_CONFIG does not list workers and say which one this is, as in "
                '{"cluster": {"worker": ["first:2222", "second:2222"]}, "task": {"type": "worker", "index": 0}}'
            ) from None

    def meet(self, seconds: float = WAIT) -> None:
        """Waits until all workers have started. UserError after so many seconds, OSError if the port is taken.

        TensorFlow would wait for hours, in code that no signal ends. The chief listens at its address until each other
        worker has connected and sent its index; then it answers them all, and frees the port for TensorFlow.
        """
        deadline = time.monotonic() + seconds
        with self._listening() as server:
            if self.index == 0:
                return self._gather(server, deadline)
        self._report(deadline)

    def _listening(self) -> socket.socket:
        port = int(self.addresses[self.index].rpartition(":")[2])
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("", port))

    def _gather(self, server: socket.socket, deadline: float) -> None:
        """Waits for all other workers to connect, and answers them."""
        there: dict[int, socket.socket] = {}
        with ExitStack() as connections:
            while len(there) < self.count - 1:
                server.settimeout(max(0.01, deadline - time.monotonic()))
                with suppress(ValueError, OSError):  # something else has connected, or nobody
                    connection = connections.enter_context(server.accept()[0])
                    connection.settimeout(1)
                    there[int(connection.recv(16))] = connection
                there = {i: each for i, each in there.items() if 0 < i < self.count and _is_open(each)}
                missing = [address for i, address in enumerate(self.addresses) if i and i not in there]
                if missing and time.monotonic() > deadline:
                    raise _not_started(" and ".join(missing))
            for connection in there.values():
                connection.sendall(b"go")
            for connection in there.values():  # the worker closes first, which leaves the chief's port free
                with suppress(OSError):
                    connection.recv(1)

    def _report(self, deadline: float) -> None:
        """Connects to the chief, again and again, until it answers."""
        host, _, port = self.addresses[0].rpartition(":")
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), timeout=5) as connection:
                connection.sendall(str(self.index).encode())
                connection.settimeout(max(0.01, deadline - time.monotonic()))
                if connection.recv(2) == b"go":
                    return
            time.sleep(0.2)
        raise _not_started(f"{self.addresses[0]} or another worker")


def _is_open(connection: socket.socket) -> bool:
    """Whether the worker still waits for the answer."""
    # It sends nothing more, so only a closed connection is readable.
    return not select.select([connection], [], [], 0)[0]


def _not_started(which: str) -> UserError:
    return UserError(f"{which} did not start within a minute: start all workers of TF_CONFIG again, within a minute")


ALONE = Worker()
