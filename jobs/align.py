"""Aligns the faces of many photos, on all cores, and keeps a table of what became of each."""

import dataclasses
import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import cv2
import dlib
import numpy as np

from faces.alignment import COLUMNS, earlier_rows
from faces.detector import HUGE, FaceFinder, face_transform, filled, predictor_path
from faces.frame import warp, warp_known
from images.files import PictureError, find_pictures, pixel_count, read_photo, save_picture, unique_names
from jobs.arguments import AlignOptions
from utils import Progress, UserError, only_writer, say, write_atomic, write_rows

UNREADABLE = (PictureError, MemoryError, RuntimeError, cv2.error)  # what dlib and OpenCV raise, too
MOST_PROCESSES = 61 if os.name == "nt" else 256  # Windows waits for no more
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"


class Aligner:
    """Aligns one photo after the other, by a landmark model's file, as the options say."""

    def __init__(self, predictor: Path, options: AlignOptions):
        self.finder, self.options = FaceFinder(str(predictor)), options

    def transform(self, photo: np.ndarray) -> np.ndarray | str:
        """[2, 3] for the largest face of a photo, or why there is none."""
        faces = self.finder.faces(photo)
        if not faces:
            return "no face"
        if self.options.skip_multi and len(faces) > 1:
            return "several faces"
        return face_transform(self.finder.landmarks(photo, faces[0]), self.options.landmarks, self.options.size)

    def align(self, photo: Path, output: Path) -> np.ndarray | str:
        """Writes the largest face of `photo` to `output`; returns its transform, or why there is none."""
        size = self.options.size
        try:
            pixels, known = shown(photo)
            transform = self.transform(pixels)
            if isinstance(transform, str):
                return transform
            face = warp(pixels, transform, size, size)
            if known is not None:
                face = np.dstack([face, 255 * warp_known(known, transform, size, size).astype(np.uint8)])
        except UNREADABLE:
            return "unreadable"
        save_picture(output, face)
        return transform


def shown(photo: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """A photo, uint8 [H, W, 3], and what of it is known, bool [H, W], or None if all is; the rest is filled.

    What was erased has no say in where a face is, and nothing of it is left. PictureError if it cannot be read.
    """
    read = read_photo(photo)
    return (read.pixels, None) if read.intact else (filled(read.pixels, read.known), read.known)


def checked_aligner(predictor: Path, options: AlignOptions) -> Aligner:
    """The Aligner, or UserError if `predictor` has not dlib's 68 landmarks."""
    try:
        aligner = Aligner(predictor, options)
        found = len(aligner.finder.landmarks(np.zeros((64, 64, 3), np.uint8), dlib.rectangle(0, 0, 63, 63)))
    except RuntimeError as error:
        raise UserError(f"{predictor} is no landmark model of dlib ({error}): name another") from error
    if found != 68:
        raise UserError(f"{predictor} finds {found} landmarks: name a model of 68")
    return aligner


_aligner: Any = None
_stopped: Any = None
_alone: Any = None


def _start_worker(predictor: Path, options: AlignOptions, stopped: Any, alone: Any) -> None:
    """Builds a worker's Aligner once; Ctrl-C is for the parent to handle, and when that is killed, the worker ends.

    `stopped` is an event after which no photo is begun; one huge photo at a time is seen to under the lock `alone`.
    """
    global _aligner, _stopped, _alone
    _stopped, _alone = stopped, alone
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)  # the processes already fill the cores
    _aligner = Aligner(predictor, options)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(1)


def _align(job: tuple[str, Path, Path]) -> list[str]:
    """One photo's row of alignment.csv."""
    name, photo, output = job
    if _stopped.is_set():
        return []
    with _alone if _is_huge(photo) else nullcontext():
        transform = _aligner.align(photo, output)
    if isinstance(transform, str):
        return [name, "", transform, *[""] * 6]
    return [name, output.name, "aligned", *map(str, transform.ravel())]


def _is_huge(photo: Path) -> bool:
    try:
        return 3 * pixel_count(photo) >= HUGE
    except PictureError:
        return False


def is_done(row: list[str], out: Path, skip_multi: bool) -> bool:
    """Whether the photo of an earlier run's row needs no second look.

    Looked at again: a photo whose face is gone or damaged, or whose row is, one that could not be read, and one that
    was left out for its several faces when they are welcome now. (A photo aligned without --skipMulti stays.)
    """
    _, output, status, *numbers = row
    if status != "aligned":
        return status == "no face" or (status == "several faces" and skip_multi)
    try:
        return bool(np.isfinite([float(number) for number in numbers]).all()) and is_whole(out / output)
    except ValueError:
        return False


def is_whole(face: Path) -> bool:
    """Whether a PNG file is there to its end."""
    if not os.path.isfile(face):
        return False
    with open(face, "rb") as file:
        file.seek(max(0, face.stat().st_size - len(PNG_END)))
        return file.read() == PNG_END


def check_alike(aligner: Aligner, out: Path, photos: dict[str, Path], kept: dict[str, list[str]]) -> None:
    """UserError if an earlier run into `out` aligned in another way; one of its photos is tried again."""
    for name, row in kept.items():
        if row[2] == "aligned" and name in photos:
            try:
                transform = aligner.transform(shown(photos[name])[0])
            except UNREADABLE:  # it could be read then; the next one tells as well
                continue
            if isinstance(transform, str) or not np.allclose(transform.ravel(), [float(x) for x in row[3:]], atol=1e-6):
                raise UserError(
                    f"{out} holds faces of another --size, other landmarks, another model or another {name}, which "
                    "would come out otherwise now: name another folder, or the options it was made with"
                )
            return


@contextmanager
def _workers(processes: int, predictor: Path, options: AlignOptions) -> Iterator[ProcessPoolExecutor]:
    """Processes for `_align`; at the end they begin no other photo. UserError if one is killed."""
    context = multiprocessing.get_context("spawn")
    stopped = context.Event()
    setup = (predictor, options, stopped, context.Lock())
    pool = ProcessPoolExecutor(processes, context, _start_worker, setup)
    try:
        yield pool
    except (KeyboardInterrupt, SystemExit):
        # A signal to the whole group can end a worker while it starts, and the others would wait for it for ever.
        earlier, threading.excepthook = threading.excepthook, lambda _: None
        for worker in multiprocessing.active_children():
            worker.kill()
        pool.shutdown()  # its thread may stumble over what has been cancelled
        threading.excepthook = earlier
        raise
    except BrokenProcessPool as error:
        raise UserError(
            "a process was killed, for want of memory perhaps: name fewer --jobs; the rest is kept"
        ) from error
    finally:
        stopped.set()
        pool.shutdown(cancel_futures=True)


def _started(pool: ProcessPoolExecutor, jobs: Sequence[tuple[str, Path, Path]], chunk: int) -> Iterator[list[str]]:
    """The rows of the jobs. The workers begin deaf to Ctrl-C, which a terminal sends to them too."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        return pool.map(_align, jobs, chunksize=chunk)
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.map(_align, jobs, chunksize=chunk)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)


def align(options: AlignOptions) -> None:
    """Aligns the photos that are not done yet, and says what became of all.

    UserError if no face was aligned, if there is no photo or no landmark model, or if `out` holds other faces.
    """
    with only_writer(options.out):
        _align_all(options)


def find_photos(raw: Path, out: Path) -> dict[str, Path]:
    """The photos by their names in alignment.csv; UserError if there is none but in `out`."""
    photos = [raw] if raw.is_file() else find_pictures(raw)
    folder = raw.parent if raw.is_file() else raw
    outside = [path for path in photos if os.path.realpath(path.parent) != os.path.realpath(out)]
    if not outside:
        raise UserError(f"{folder} and {out} are one folder: name another for the faces")
    return {str(path.relative_to(folder)): path for path in outside}


def named_jobs(photos: dict[str, Path], rows: list[list[str]], out: Path) -> list[tuple[str, Path, Path]]:
    """The photos' names, paths and outputs, which stay those of the earlier rows."""
    known = {photos.get(row[0], Path(row[0])): Path(row[1]).stem for row in rows if row[1]}
    names = unique_names(list(photos.values()), known)
    return [(*photo, out / f"{name}.png") for photo, name in zip(photos.items(), names, strict=True)]


def _align_all(options: AlignOptions) -> None:
    out, log = options.out, options.out / "alignment.csv"
    predictor = predictor_path(options.predictor)
    photos = find_photos(options.raw, out)
    rows = earlier_rows(log)
    kept = {row[0]: row for row in rows if is_done(row, out, options.skip_multi)}
    aligner = checked_aligner(predictor, dataclasses.replace(options, skip_multi=False))
    check_alike(aligner, out, photos, kept)
    jobs = [job for job in named_jobs(photos, rows, out) if job[0] not in kept]
    for _, _, output in jobs:
        if not log.exists() and os.path.lexists(output):
            raise UserError(f"{output} is there, and was not written by align.py: name another folder")
    if kept:
        say(f"{len(photos) - len(jobs)} of {len(photos)} photos are done already")

    statuses = Counter(row[2] for name, row in kept.items() if name in photos)
    write_atomic(log, lambda partial: write_rows(partial, [COLUMNS, *kept.values()]))
    processes = min(options.jobs, len(jobs) or 1, MOST_PROCESSES)
    progress = Progress(len(jobs), "photos")
    with _workers(processes, predictor, options) as pool:
        for done, row in enumerate(_started(pool, jobs, min(16, 1 + len(jobs) // (8 * processes))), 1):
            write_rows(log, [row])
            statuses[row[2]] += 1
            if options.verbose or row[2] == "unreadable":
                say(f"{row[0]}: {row[2]}")
            progress.update(done)

    say(", ".join(f"{statuses[s]} {s}" for s in ("aligned", "no face", "several faces", "unreadable")))
    say(f"faces: {out}, what became of each photo: {log}")
    if not statuses["aligned"]:
        raise UserError(f"no face was aligned from {options.raw}: choose photos with a face seen from the front")
