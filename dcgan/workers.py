"""The processes, on several machines, that share one job. TF_CONFIG lists them."""

import json
import os
import re
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field

from utils import UserError

WAIT = 60.0  # seconds until all workers must have started
PAUSE = 0.5  # seconds between two attempts to connect to the others


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

        TensorFlow would wait for hours, in code that no signal ends. Each worker listens at its port, and connects to
        the ports of the others.
        """
        missing = [address for i, address in enumerate(self.addresses) if i != self.index]
        deadline = time.monotonic() + seconds
        with _listening(int(self.addresses[self.index].rpartition(":")[2])):
            while missing and time.monotonic() < deadline:
                missing = [address for address in missing if not _answers(address)]
                time.sleep(PAUSE)
            time.sleep(2 * PAUSE)  # the others may not have connected yet
        if missing:
            raise UserError(
                f"{' and '.join(missing)} did not start within a minute: start all workers of TF_CONFIG again, within "
                "a minute"
            )


def _listening(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), timeout=5):
        return True
    return False


ALONE = Worker()
