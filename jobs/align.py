"""Aligns the faces of many photos on all cores and writes a table of their status and transforms."""

import dataclasses
import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import chain
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import dlib
import numpy as np

from faces.detector import HUGE, FaceFinder, face_transform, filled, predictor_path
from faces.frame import BLACK, Frame
from faces.table import COLUMNS, TABLE, earlier_rows
from images.decoding import PictureError, picture_size, read_photo
from images.files import find_pictures, save_picture, unique_names
from images.photo import Photo
from jobs.arguments import AlignOptions
from outputs import Outputs, only_writer
from utils import Progress, UserError, ignore_pillow, say, write_rows

UNREADABLE = (PictureError, MemoryError, RuntimeError, cv2.error)  # dlib and OpenCV raise the last ones
MOST_PROCESSES = 61 if os.name == "nt" else 256  # the limit of Windows


class Job(NamedTuple):
    """A photo to align."""

    name: str  # of the photo in alignment.csv
    photo: Path
    output: str  # name of the face's file, without a suffix


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

    def frames(self, photo: Photo) -> list[Frame] | str:
        """The frames of the faces to align, the largest first, or the photo's status if there is none."""
        boxes = self.finder.faces(photo.pixels)
        if not boxes:
            return "no face"
        if self.options.skip_multi and len(boxes) > 1:
            return "several faces"
        size, kind, margin = self.options.size, self.options.landmarks, self.options.margin
        landmarks = [self.finder.landmarks(photo.pixels, box) for box in (boxes if self.options.all else boxes[:1])]
        return [Frame(face_transform(points, kind, size), size).widened(margin) for points in landmarks]

    def align(self, job: Job) -> list[list[str]]:
        """Writes the faces of a photo; returns its rows of alignment.csv."""
        try:
            with self.alone if 3 * prod(picture_size(job.photo)) >= HUGE else nullcontext():
                photo = read_filled(job.photo)
                frames = self.frames(photo)
                if isinstance(frames, str):
                    return [row_without_face(job.name, frames)]
                outside = cv2.BORDER_REPLICATE if self.options.margin else BLACK
                views = [frame.view(photo, outside) for frame in frames]
        except UNREADABLE:
            return [row_without_face(job.name, "unreadable")]
        height, width = photo.shape
        rows = []
        for number, (frame, (face, known)) in enumerate(zip(frames, views, strict=True), 1):
            output = output_of(job, number, self.options.all)
            pixels = face if photo.intact else np.dstack([face, 255 * known.astype(np.uint8)])
            self.outputs.write(output, partial(save_picture, pixels=pixels))
            sizes = width, height, frame.size, len(views) if self.options.all else "", self.options.margin
            rows.append([job.name, output, "aligned", *map(str, (*frame.transform.ravel(), *sizes))])
        return rows


def row_without_face(name: str, status: str) -> list[str]:
    """The row of alignment.csv for a photo without an aligned face."""
    return [name, "", status, *[""] * (len(COLUMNS) - 3)]


def output_of(job: Job, number: int, numbered: bool) -> str:
    """The file for face `number` of a photo.

    With --all, every face is numbered, so that NAME_2 of one photo is not NAME_2 of a photo of that name.
    """
    return f"{job.output}_{number}.png" if numbered else f"{job.output}.png"


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
    ignore_pillow()
    cv2.setNumThreads(1)  # the processes already use all cores
    _aligner = Aligner(*arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(1)


def _align(job: Job) -> list[list[str]]:
    """Aligns a photo; returns its rows of alignment.csv."""
    return _aligner.align(job)


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


def _started(pool: ProcessPoolExecutor, jobs: Sequence[Job], chunk: int) -> Iterator[list[list[str]]]:
    """Starts the jobs; yields the rows of each. Workers start with Ctrl-C blocked: a terminal sends it to them, too."""
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


def by_photo(rows: Iterable[list[str]]) -> dict[str, list[list[str]]]:
    """The rows of each photo."""
    found: dict[str, list[list[str]]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(row)
    return found


def named_jobs(photos: dict[str, Path], rows: Iterable[list[str]]) -> list[Job]:
    """A job for each photo. Photos in the rows of an earlier run keep their output file."""
    known = {}
    for source, output, *_, faces, _ in rows:
        if output:
            stem = Path(output).stem
            known[photos.get(source, Path(source))] = stem.rpartition("_")[0] if faces else stem
    names = unique_names(list(photos.values()), known)
    return [Job(*photo, name) for photo, name in zip(photos.items(), names, strict=True)]


def is_done(rows: Sequence[list[str]], outputs: Outputs, skip_multi: bool) -> bool:
    """Whether a photo with these rows of an earlier run can be skipped.

    A photo is aligned again if one of its faces is gone, if a row is damaged, missing or of an earlier version, if it
    could not be read, or if it was left out for its several faces and --skipMulti is not given now.
    """
    status, faces = rows[0][2], rows[0][-2]
    if status != "aligned":
        return status == "no face" or (status == "several faces" and skip_multi)
    try:
        finite = np.isfinite([float(number) for row in rows for number in (*row[3:-2], row[-1] or 0)]).all()
        return bool(finite) and len(rows) == int(faces or 1) and all(outputs.owns(row[1]) for row in rows)
    except ValueError:
        return False


def older(earlier: dict[str, list[list[str]]], outputs: Outputs) -> dict[str, list[list[str]]]:
    """The rows of an earlier version, which had no sizes, if their faces are there."""
    return {name: part for name, part in earlier.items() if not any(part[0][9:]) and outputs.owns(part[0][1])}


def check_alike(aligner: Aligner, photos: dict[str, Path], earlier: dict[str, list[list[str]]]) -> None:
    """Aligns one photo of an earlier run again. Raises UserError if that gives another transform."""
    for name, (row, *_) in earlier.items():
        if row[2] == "aligned" and name in photos:
            try:
                frames = aligner.frames(read_filled(photos[name]))
                expected = [float(number) for number in row[3:9]]
            except (*UNREADABLE, ValueError):  # the photo or its row was damaged since; try the next one
                continue
            alike = not isinstance(frames, str) and np.allclose(frames[0].transform.ravel(), expected, atol=1e-6)
            if not alike or bool(row[-2]) != aligner.options.all:
                raise UserError(
                    f"{aligner.options.out} holds faces with another --size or --margin, other landmarks, another "
                    f"landmark model, with or without --all, or of another {name}: choose another folder, or repeat "
                    "the options of the earlier run"
                )
            return


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
    earlier = by_photo(rows)
    kept = {name: part for name, part in earlier.items() if is_done(part, outputs, options.skip_multi)}
    aligner = Aligner(predictor, dataclasses.replace(options, skip_multi=False))
    check_alike(aligner, photos, kept | older(earlier, outputs))
    jobs = [job for job in named_jobs(photos, rows) if job.name not in kept]
    outputs.check(TABLE, *(output_of(job, 1, options.all) for job in jobs))
    if kept:
        say(f"{len(photos) - len(jobs)} of {len(photos)} photos are done already")

    done = {name: part for name, part in kept.items() if name in photos}
    outputs.write(TABLE, lambda path: write_rows(path, [COLUMNS, *chain.from_iterable(kept.values())]), grows=True)
    processes = min(options.jobs, len(jobs) or 1, MOST_PROCESSES)
    progress = Progress(len(jobs), "photos")
    with _workers(processes, predictor, options) as pool:
        for part in _started(pool, jobs, min(16, 1 + len(jobs) // (8 * processes))):
            outputs.add_rows(TABLE, part)
            name, _, status, *_ = part[0]
            done[name] = part
            if options.verbose or status == "unreadable":
                say(f"{name}: {status}")
            progress.update(progress.done + 1)

    statuses = Counter(part[0][2] for part in done.values())
    say(", ".join(f"{statuses[s]} {s}" for s in ("aligned", "no face", "several faces", "unreadable")))
    faces = sum(bool(row[1]) for part in done.values() for row in part)
    say(f"{faces} faces: {out}, status of each photo: {log}")
    if not faces:
        raise UserError(f"no face was aligned from {options.raw}: choose photos of faces seen from the front")
