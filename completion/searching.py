"""Searches for many pictures, batch by batch."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from dcgan.options import SearchOptions
from images.incomplete import Incomplete
from utils import Progress

if TYPE_CHECKING:
    from model import DCGAN, SearchStep


def search_batches(
    dcgan: "DCGAN", incomplete: Incomplete, search: SearchOptions, batch_size: int, note: str = ""
) -> Iterator["SearchStep"]:
    """Yields the last state of each batch's search, and shows the progress with a note."""
    firsts = range(0, len(incomplete), batch_size)
    progress = Progress(len(firsts) * search.iterations, "iterations")
    for nth, first in enumerate(firsts):
        state: SearchStep
        for state in dcgan.complete(incomplete[first : first + batch_size], replace(search, out_interval=0)):
            progress.update(nth * search.iterations + state.iteration, note)
        yield state
