"""The processes that share a work, on several machines: TF_CONFIG says which they are."""

import json
import os
import re
from dataclasses import dataclass

from utils import UserError


@dataclass(frozen=True)
class Worker:
    """A process of those that train one model, or complete one list of pictures."""

    index: int = 0
    """The chief is 0: of a training it alone writes."""
    count: int = 1

    @classmethod
    def of_cluster(cls) -> "Worker":
        """The one that TF_CONFIG says this process is; UserError if that is not to be understood."""
        if "TF_CONFIG" not in os.environ:
            return cls()
        try:
            config = json.loads(os.environ["TF_CONFIG"])
            cluster, task = config["cluster"], config["task"]
            addresses = cluster["worker"]
            worker = cls(int(task["index"]), len(addresses))
            if len(cluster) > 1 or task["type"] != "worker" or not 0 <= worker.index < worker.count:
                raise ValueError
            if not isinstance(addresses, list) or not all(re.fullmatch(r"\S+:\d+", each) for each in addresses):
                raise ValueError
            return worker
        except (ValueError, TypeError, LookupError, AttributeError):
            raise UserError(
                "TF_CONFIG does not name workers and which of them this is, as in "
                '{"cluster": {"worker": ["first:2222", "second:2222"]}, "task": {"type": "worker", "index": 0}}'
            ) from None


ALONE = Worker()
