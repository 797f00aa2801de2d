"""The command line of paint.py."""

from dataclasses import dataclass
from pathlib import Path

from jobs.arguments import MODEL
from utils import Options, number, option, path


@dataclass(frozen=True)
class PaintOptions(Options):
    """Page."""

    checkpoint_dir: Path | None = option(None, MODEL, "--checkpointDir", check=path)
    host: str = option("127.0.0.1", "address of the page; 0.0.0.0 lets other machines open it", metavar="ADDRESS")
    port: int = option(7860, "port of the page", check=number(int, 1, 65535))
