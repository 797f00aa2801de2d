"""Finds faces that a hole has damaged, and how they come into the model's frame."""

import numpy as np

from pictures.faces import FaceFinder, face_transform, filled
from pictures.photos import covered

LANDMARKS = "innerEyesAndBottomLip"  # as the bundled model's faces were aligned


def damaged_faces(finder: FaceFinder, photo: np.ndarray, known: np.ndarray, size: int) -> list[np.ndarray]:
    """[2, 3] for each face of a photo, uint8 [H, W, 3], whose aligned square meets the hole, the largest first.

    All faces if nothing is hidden. The hole is where bool [H, W] is not `known`; what is hidden there has no say.
    size: the side of the frame.
    """
    shown = filled(photo, known)
    found = [face_transform(finder.landmarks(shown, box), LANDMARKS, size) for box in finder.faces(shown)]
    if known.all():
        return found
    return [transform for transform in found if (covered(known.shape, [transform], size) & ~known).any()]
