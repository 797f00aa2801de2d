"""The command line of paint.py."""

from dataclasses import dataclass
from pathlib import Path

from jobs.arguments import MODEL
from utils import Options, number, option


@dataclass(frozen=True)
class PaintOptions(Options):
    """Page."""

    checkpoint_dir: Path = option(Path("checkpoints"), MODEL, "--checkpointDir", check=Path, metavar="DIR")
    host: str = option("127.0.0.1", "address to serve at; 0.0.0.0 is open to other machines", metavar="ADDRESS")
    port: int = option(7860, "port to serve at", check=number(int, 1, 65535))
