"""Completes pictures: searches one missing batch after the other, and has the results written meanwhile."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from completion.models import open_model
from dcgan.options import RATES, DeviceOptions, SearchOptions
from dcgan.workers import Worker
from images.blending import blend
from images.mask_options import MaskOptions
from jobs.complete.aligned_reader import AlignedReader
from jobs.complete.arguments import CompleteOptions, PhotoOptions
from jobs.complete.plan import Plan, Recipe, check_named, listed
from jobs.complete.results import Batch, Outcome, Results
from jobs.stopping import stop_signals
from utils import Outputs, UserError, WrongCommand, only_writer, say, some

if TYPE_CHECKING:
    from jobs.complete.frames import Frames
    from jobs.complete.photo_reader import PhotoReader
    from model import DCGAN, SearchStep


def complete(
    files: CompleteOptions, photos: PhotoOptions, masks: MaskOptions, search: SearchOptions, devices: DeviceOptions
) -> int | None:
    """Completes the pictures that no earlier call completed, and reports where they are.

    Each worker of a cluster completes its share of the batches, into the same folder; the chief writes frames.
    Returns 128 and the signal's number if a signal stopped it, once the unfinished results are written. UserError if
    a picture cannot be completed, once the others are.
    """
    if search.lr and search.approach not in RATES:
        say(f"--lr has no effect with --approach {search.approach}")
    check_named(photos, masks)
    worker, outputs = Worker.of_cluster(), Outputs(files.out_dir, "--outDir")
    imgs = listed(files.imgs, outputs, masks)
    if photos.points and len(imgs) > 1:
        raise WrongCommand(f"--points belong to one photo, but there are {len(imgs)}: complete it alone")
    with only_writer(files.out_dir / f".worker{worker.index}" if worker.index else files.out_dir):
        batches = -(-len(imgs) // files.batch_size) if files.all_frames else 1
        framed = batches if search.out_interval and not worker.index else 0
        results = Results(outputs, imgs, search.iterations, search.out_interval, framed)
        dcgan = open_model(files.checkpoint_dir, files.img_size, masks.lowres, devices.of_search, photos.photo)
        reader = open_reader(photos, masks, dcgan, search.seed)
        recipe = Recipe(dcgan, search, files.blend)
        return Completion(recipe, Plan(recipe, imgs, reader, results, files.batch_size, worker)).run()


def open_reader(photos: PhotoOptions, masks: MaskOptions, dcgan: "DCGAN", seed: int) -> "AlignedReader | PhotoReader":
    """Returns the reader of aligned pictures or photos. UserError if the options name unusable masks or faces."""
    if photos.photo:
        from jobs.complete.photo_reader import PhotoReader

        return PhotoReader(photos, masks, dcgan, seed)
    return AlignedReader(masks, dcgan.image_size, dcgan.c_dim, seed)


class Completion:
    """The work of one call."""

    def __init__(self, recipe: Recipe, plan: Plan):
        self.recipe, self.plan = recipe, plan
        self.results, self.progress = plan.results, plan.progress

    def run(self) -> int | None:
        """Completes the missing batches, each written while the next one is searched. Returns as `complete` does."""
        received: list[int] = []
        writing: Future[None] | None = None
        with ThreadPoolExecutor(1) as background:
            for batch in self.plan.missing():
                with stop_signals() as received:
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
        """Searches until the end or until a signal is `received`, then blends. Records frames if the batch has any."""
        frames = self.frames(batch)
        search = self.recipe.search if frames else replace(self.recipe.search, out_interval=0)
        before = self.progress.done
        state: SearchStep
        for state in self.recipe.dcgan.complete(batch.incomplete, search, lambda: bool(received)):
            if frames:
                frames.record(state)
            self.progress.update(before + state.iteration, f"loss {np.mean(state.losses[:, 2]):.4g}")
        blended = blend(state.generated, batch.incomplete, self.recipe.blending)
        if frames:
            frames.finish(state.completed, blended, self.results.sheet_note(batch.nth, batch.notes, state.iteration))
        return Outcome(blended, state.restarts, np.isfinite(state.losses[:, 2]), state.iteration)

    def frames(self, batch: Batch) -> "Frames | None":
        """Returns the recorder of the batch's frames, if it has any."""
        if not self.results.make_room(batch):
            return None
        from jobs.complete.frames import Frames

        return Frames(self.results.outputs, batch)

    def write(self, batch: Batch, outcome: Outcome) -> None:
        """Writes the results."""
        self.plan.tally["completed"] += self.results.write(batch, outcome, self.plan.reader.final)

    def report(self) -> None:
        """Reports what became of the pictures. UserError if some are not completed."""
        tally = self.plan.tally
        pictures = len(self.plan.imgs) - tally["of others"]
        if tally["fitted"]:
            say(f"cropped to a square and resized to the model's size: {tally['fitted']} of {pictures} pictures")
        self._report_photos()
        if tally["kept"]:
            say(f"{tally['kept']} of {pictures} pictures were completed by an earlier call with the same options")
        done = tally["completed"] + tally["kept"]
        if pictures and not done:
            raise UserError("none of the pictures can be completed, see above")
        self.results.show(self.results.iterations)
        if done < pictures:
            raise UserError(
                f"{pictures - done} of {pictures} pictures are skipped, see above; the others are completed"
            )

    def report_stop(self, batch: Batch, outcome: Outcome) -> None:
        """Reports what is left to do after a signal stopped the work in a batch."""
        self.progress.skip(self.progress.total - self.progress.done)
        self._report_photos()
        # The frames that are listed are those of the first batch.
        self.results.show(outcome.iteration if batch.nth == 1 else self.results.iterations)
        say(
            f"stopped after {outcome.iteration} of {self.results.iterations} iterations for {some(batch.paths)}: run "
            "the same command again to complete the rest"
        )

    def _report_photos(self) -> None:
        """Reports which pictures look like whole photos."""
        if self.plan.faceless:
            say(f"no face fills {some(self.plan.faceless)}: to complete the faces in a whole photo, add --photo")
