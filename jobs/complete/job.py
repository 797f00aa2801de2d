"""Completes pictures: searches the missing batches one by one, and writes the results of the one before meanwhile."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from completion.batches import Batch, Outcome, Recipe
from completion.given_masks import GivenMasks
from completion.groups import open_groups
from completion.models import open_model
from completion.options import PhotoOptions
from dcgan.options import RATES, DeviceOptions, SearchOptions
from dcgan.workers import Worker
from images.mask_options import MaskOptions
from jobs.complete.arguments import CompleteOptions
from jobs.complete.plan import Plan, check_named, listed
from jobs.complete.results import Results
from jobs.stopping import stop_signals
from outputs import Outputs, only_writer
from utils import UserError, WrongCommand, say, some

if TYPE_CHECKING:
    from jobs.complete.frames import Frames
    from model import SearchStep


def complete(
    files: CompleteOptions, photos: PhotoOptions, masks: MaskOptions, search: SearchOptions, devices: DeviceOptions
) -> int | None:
    """Completes the pictures that no earlier call completed, and reports where they are.

    Each worker of a cluster completes its share of the batches, in the same folder; only the first one writes frames.
    If a signal stops it, it writes the unfinished results and returns 128 plus the signal's number. If a picture cannot
    be completed, it completes the others and raises UserError.
    """
    if search.approach not in RATES and search.lr:
        say(f"--lr {search.lr:g} has no effect with --approach {search.approach}")
    check_named(files, photos, masks)
    worker, outputs = Worker.of_cluster(), Outputs(files.out_dir, "--outDir")
    imgs = listed(files.imgs, outputs, masks)
    if photos.points and len(imgs) > 1:
        raise WrongCommand(f"--points belong to one photo, but there are {len(imgs)}: complete it alone")
    with only_writer(files.out_dir / f".worker{worker.index}" if worker.index else files.out_dir):
        at_once = max(1, files.batch_size // files.tries)  # pictures
        batches = -(-len(imgs) // at_once) + 1 if files.all_frames else 1
        framed = 0 if worker.index else batches
        how = files.tries, files.format, files.quality
        results = Results(outputs, imgs, search.iterations, search.out_interval, framed, *how)

        def recipe(of_photos: bool) -> Recipe:
            named, size, precision = files.checkpoint_dir, files.img_size, devices.of_search
            return Recipe(open_model(named, size, masks.lowres, precision, of_photos), search, files.blend, files.tries)

        groups = open_groups(imgs, photos, GivenMasks(masks, imgs), files.checkpoint_dir, recipe)
        return Completion(Plan(groups, imgs, results, at_once, worker)).run()


class Completion:
    """The work of one call."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.results, self.progress = plan.results, plan.progress

    def run(self) -> int | None:
        """Completes the missing batches, each written while the next one is searched. Returns as `complete` does."""
        received: list[int] = []
        writing: Future[None] | None = None
        with ThreadPoolExecutor(1) as background:
            for located in self.plan.missing():
                with stop_signals() as received:
                    batch = located.with_heads(lambda: bool(received))
                    outcome = self.complete(batch, received)
                    if writing:
                        writing.result()  # waits, and raises the error if there was one
                    writing = background.submit(self.write, batch, outcome)
                if received:
                    break
            if writing:
                writing.result()
        if received and self.progress.done < self.progress.total:
            self.report_stop(batch, outcome)
            return 128 + received[0]
        self.report()
        return None

    def complete(self, batch: Batch, received: Sequence[int]) -> Outcome:
        """Searches until the end, or until a signal is `received`; then blends. Writes the sheet and frames if due."""
        framed, recipe = self.results.make_room(batch), batch.group.recipe
        if not batch.has_faces:
            self.progress.skip(self.results.iterations)
            return Outcome.without_faces(batch, self.results.iterations)
        frames = self.frames(batch) if framed and self.results.interval else None
        search = recipe.search if frames else replace(recipe.search, out_interval=0)
        before = self.progress.done
        state: SearchStep
        for state in recipe.dcgan.complete(batch.incomplete, search, lambda: bool(received)):
            if frames:
                frames.record(state)
            self.progress.update(before + state.iteration, f"loss {np.mean(state.losses[:, 2]):.4g}")
        outcome = batch.outcome(state)
        if frames:
            frames.finish(outcome.blended)
        if framed:
            self.results.write_sheet(batch, state.completed, outcome.blended, state.iteration)
        return outcome

    def frames(self, batch: Batch) -> "Frames":
        """Returns the recorder of the batch's frames."""
        from jobs.complete.frames import Frames

        return Frames(self.results.outputs, batch)

    def write(self, batch: Batch, outcome: Outcome) -> None:
        """Writes the results."""
        self.plan.tally["completed"] += self.results.write(batch, outcome)

    def report(self) -> None:
        """Reports how many pictures were completed, and where. UserError if some were not."""
        tally = self.plan.tally
        pictures = len(self.plan.imgs) - tally["of others"]
        if tally["fitted"]:
            say(
                f"cropped to a square and resized to the model's size: {tally['fitted']} of {pictures} pictures. To "
                "complete them as whole photos instead, add --photo"
            )
        if tally["kept"]:
            say(f"completed by an earlier call with the same options: {tally['kept']} of {pictures} pictures")
        done = tally["completed"] + tally["kept"]
        if pictures and not done:
            raise UserError("no picture was completed")
        self.results.show(self.results.iterations)
        if done < pictures:
            raise UserError(f"skipped {pictures - done} of {pictures} pictures, see above; completed the others")

    def report_stop(self, batch: Batch, outcome: Outcome) -> None:
        """Reports what is left to do after a signal stopped the work in a batch."""
        self.progress.skip(self.progress.total - self.progress.done)
        # The frames that are listed are those of the first batch.
        self.results.show(outcome.iteration if batch.nth == 1 else self.results.iterations)
        say(
            f"stopped after {outcome.iteration} of {self.results.iterations} iterations for {some(batch.paths)}: run "
            "the same command again to complete the rest"
        )
