"""The options of training and completion and their defaults, for scripts and callers alike."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainOptions:
    """How `DCGAN.train` trains; the defaults are the post's, averaging aside."""

    epochs: int = 25
    """Passes over the pictures in all, those of an earlier run counted."""
    batch_size: int = 64
    """Pictures a step; all of them where there are fewer."""
    learning_rate: float = 0.0002
    """Adam's, for both networks."""
    beta1: float = 0.5
    """Adam's decay of the mean gradient."""
    flip: bool = False
    """Mirror half of the pictures, drawn anew each time."""
    ema: float = 0.999
    """Decay of the averaged generator, reached from below as steps go by; 0 keeps no average."""
    seed: int = 0
    """What the order of the pictures, z and flips follow from, together with the step."""


@dataclass(frozen=True)
class SearchOptions:
    """How `DCGAN.complete` searches for z; the defaults are those of the post's repository."""

    approach: str = "adam"
    """`adam`, or `pgd`: the post's projected gradient descent with momentum."""
    lr: float = 0.01
    """Step size."""
    beta1: float = 0.9
    """adam: decay of the mean gradient."""
    beta2: float = 0.999
    """adam: decay of the mean squared gradient."""
    eps: float = 1e-8
    """adam: added to the root of the mean squared gradient."""
    momentum: float = 0.9
    """pgd: momentum."""
    n_iter: int = 1000
    """Iterations."""
    lam: float = 0.1
    """Weight of the perceptual loss."""
    out_interval: int = 50
    """Iterations between two yielded states."""
    seed: int = 0
    """What a picture's first z follows from, together with its place."""
