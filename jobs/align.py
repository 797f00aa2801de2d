"""Aligns the faces of many photos on all cores and writes a table of their status and transforms."""

import dataclasses
import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager, nullcontext
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import dlib
import numpy as np

from faces.alignment import COLUMNS, earlier_rows
from faces.detector import HUGE, FaceFinder, face_transform, filled, predictor_path
from faces.frame import warp, warp_known
from images.decoding import PictureError, picture_size, read_photo
from images.files import find_pictures, save_picture, unique_names
from images.photo import Photo
from jobs.arguments import AlignOptions
from utils import Outputs, Progress, UserError, only_writer, say, write_rows

UNREADABLE = (PictureError, MemoryError, RuntimeError, cv2.error)  # dlib and OpenCV raise the last ones
MOST_PROCESSES = 61 if os.name == "nt" else 256  # the limit of Windows
TABLE = "alignment.csv"


class Job(NamedTuple):
    """A photo to align."""

    name: str  # of the photo in alignment.csv
    photo: Path
    output: str  # file for the face


class Aligner:
    """Aligns one photo after the other with a landmark model."""

    def __init__(self, predictor: Path, options: AlignOptions, alone: AbstractContextManager | None = None):
        """Raises UserError if `predictor` is not a model of 68 landmarks. alone: a lock for huge photos."""
        self.options, self.outputs, self.alone = options, Outputs(options.out), alone or nullcontext()
        try:
            self.finder = FaceFinder(str(predictor))
            found = len(self.finder.landmarks(np.zeros((64, 64, 3), np.uint8), dlib.rectangle(0, 0, 63, 63)))
        except RuntimeError as error:
            raise UserError(f"{predictor} is not a landmark model of dlib ({error}): choose another") from error
        if found != 68:
            raise UserError(f"{predictor} finds {found} landmarks: choose a model of 68")

    def transform(self, photo: Photo) -> np.ndarray | str:
        """[2, 3] for the largest face of a photo, or the photo's status if there is none."""
        faces = self.finder.faces(photo.pixels)
        if not faces:
            return "no face"
        if self.options.skip_multi and len(faces) > 1:
            return "several faces"
        landmarks = self.finder.landmarks(photo.pixels, faces[0])
        return face_transform(landmarks, self.options.landmarks, self.options.size)

    def align(self, path: Path, output: str) -> np.ndarray | str:
        """Writes the largest face to the file `output`; returns its transform, or the photo's status without one."""
        size = self.options.size
        try:
            with self.alone if 3 * prod(picture_size(path)) >= HUGE else nullcontext():
                photo = read_filled(path)
                transform = self.transform(photo)
                if isinstance(transform, str):
                    return transform
                face = warp(photo.pixels, transform, size, size)
                if not photo.intact:
                    known = warp_known(photo.known, transform, size, size)
                    face = np.dstack([face, 255 * known.astype(np.uint8)])
        except UNREADABLE:
            return "unreadable"
        self.outputs.write(output, lambda partial: save_picture(partial, face))
        return transform


def read_filled(path: Path) -> Photo:
    """Reads a photo and fills its hole, so that hidden pixels neither move the face nor show."""
    photo = read_photo(path)
    return photo if photo.intact else dataclasses.replace(photo, pixels=filled(photo.pixels, photo.known))


# ------------------------------------------------------------------------------------------ processes

_aligner: Any = None


def _start_worker(*arguments: Any) -> None:
    """Builds the worker's Aligner. The worker leaves Ctrl-C to its parent and ends when that is killed."""
    global _aligner
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)  # the processes already use all cores
    _aligner = Aligner(*arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(1)


def _align(job: Job) -> list[str]:
    """Aligns a photo; returns its row of alignment.csv."""
    transform = _aligner.align(job.photo, job.output)
    if isinstance(transform, str):
        return [job.name, "", transform, *[""] * 6]
    return [job.name, job.output, "aligned", *map(str, transform.ravel())]


@contextmanager
def _workers(processes: int, predictor: Path, options: AlignOptions) -> Iterator[ProcessPoolExecutor]:
    """Processes that run `_align`. Raises UserError if one of them is killed."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _start_worker, (predictor, options, context.Lock()))
    try:
        yield pool
    except BrokenProcessPool as error:
        raise UserError(
            "a process was killed, perhaps for lack of memory: use fewer --jobs; the rest is kept"
        ) from error
    except BaseException:
        # A signal to the whole group can end a worker while it starts, and the pool would wait for it forever.
        earlier, threading.excepthook = threading.excepthook, lambda _: None
        for worker in multiprocessing.active_children():
            worker.kill()
        pool.shutdown(cancel_futures=True)  # its thread may fail on canceled work
        threading.excepthook = earlier
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _started(pool: ProcessPoolExecutor, jobs: Sequence[Job], chunk: int) -> Iterator[list[str]]:
    """Starts the jobs; yields their rows. Workers start with Ctrl-C blocked, which a terminal sends to them, too."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        return pool.map(_align, jobs, chunksize=chunk)
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.map(_align, jobs, chunksize=chunk)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)


# ---------------------------------------------------------------------------- photos and their faces


def find_photos(raw: Path, out: Path) -> dict[str, Path]:
    """The photos by their names in alignment.csv. Raises UserError if all of them lie in `out`."""
    photos = [raw] if raw.is_file() else find_pictures(raw)
    folder = raw.parent if raw.is_file() else raw
    outside = [path for path in photos if os.path.realpath(path.parent) != os.path.realpath(out)]
    if not outside:
        raise UserError(f"{folder} and {out} are the same folder: choose another folder for the faces")
    return {str(path.relative_to(folder)): path for path in outside}


def named_jobs(photos: dict[str, Path], rows: list[list[str]]) -> list[Job]:
    """A job for each photo. Photos in the rows of an earlier run keep their output file."""
    known = {photos.get(row[0], Path(row[0])): Path(row[1]).stem for row in rows if row[1]}
    names = unique_names(list(photos.values()), known)
    return [Job(*photo, f"{name}.png") for photo, name in zip(photos.items(), names, strict=True)]


def is_done(row: list[str], outputs: Outputs, skip_multi: bool) -> bool:
    """Whether the photo of an earlier run's row can be skipped.

    A photo is aligned again if its face is gone, if its row is damaged, if it could not be read, or if it was left out
    for its several faces and --skipMulti is not given now.
    """
    _, output, status, *numbers = row
    if status != "aligned":
        return status == "no face" or (status == "several faces" and skip_multi)
    try:
        return bool(np.isfinite([float(number) for number in numbers]).all()) and outputs.owns(output)
    except ValueError:
        return False


def check_alike(aligner: Aligner, out: Path, photos: dict[str, Path], kept: dict[str, list[str]]) -> None:
    """Aligns one photo of an earlier run again. Raises UserError if that gives another transform."""
    for name, row in kept.items():
        if row[2] == "aligned" and name in photos:
            try:
                transform = aligner.transform(read_filled(photos[name]))
            except UNREADABLE:  # the photo was damaged since; try the next one
                continue
            if isinstance(transform, str) or not np.allclose(transform.ravel(), [float(x) for x in row[3:]], atol=1e-6):
                raise UserError(
                    f"{out} holds faces with another --size, other landmarks, another landmark model, or of another "
                    f"{name}: choose another folder, or repeat the options of the earlier run"
                )
            return


def adopt_earlier(outputs: Outputs, rows: list[list[str]]) -> None:
    """Puts the files of an earlier version on the list, which that version did not keep."""
    if TABLE not in outputs.names() and (outputs.folder / TABLE).is_file():
        for name in (TABLE, *(row[1] for row in rows if (outputs.folder / row[1]).is_file())):
            outputs.adopt(name)


def align(options: AlignOptions) -> None:
    """Aligns the photos that are not done yet and prints a summary.

    Raises UserError if there is no photo, no landmark model or no face, or if `out` holds other faces.
    """
    with only_writer(options.out):
        _align_all(options)


def _align_all(options: AlignOptions) -> None:
    out, log = options.out, options.out / TABLE
    predictor = predictor_path(options.predictor)
    photos = find_photos(options.raw, out)
    rows = earlier_rows(log)
    outputs = Outputs(out)
    adopt_earlier(outputs, rows)
    kept = {row[0]: row for row in rows if is_done(row, outputs, options.skip_multi)}
    aligner = Aligner(predictor, dataclasses.replace(options, skip_multi=False))
    check_alike(aligner, out, photos, kept)
    jobs = [job for job in named_jobs(photos, rows) if job.name not in kept]
    outputs.check(TABLE, *(job.output for job in jobs))
    if kept:
        say(f"{len(photos) - len(jobs)} of {len(photos)} photos are done already")

    statuses = Counter(row[2] for name, row in kept.items() if name in photos)
    outputs.write(TABLE, lambda partial: write_rows(partial, [COLUMNS, *kept.values()]), grows=True)
    processes = min(options.jobs, len(jobs) or 1, MOST_PROCESSES)
    progress = Progress(len(jobs), "photos")
    with _workers(processes, predictor, options) as pool:
        for done, row in enumerate(_started(pool, jobs, min(16, 1 + len(jobs) // (8 * processes))), 1):
            outputs.add_rows(TABLE, [row])
            statuses[row[2]] += 1
            if options.verbose or row[2] == "unreadable":
                say(f"{row[0]}: {row[2]}")
            progress.update(done)

    say(", ".join(f"{statuses[s]} {s}" for s in ("aligned", "no face", "several faces", "unreadable")))
    say(f"faces: {out}, status of each photo: {log}")
    if not statuses["aligned"]:
        raise UserError(f"no face was aligned from {options.raw}: choose photos of faces seen from the front")
