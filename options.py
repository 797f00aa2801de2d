"""The options of training, masks and completion and their defaults, for scripts and callers alike."""

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


MASK_TYPES = ("center", "random", "pattern", "left", "right", "top", "bottom", "full", "grid", "lowres")
BLENDS = ("tension", "poisson", "none")  # the first is the default
STARTS = ("zero", "random", "fit")
RATES = {"adam": 0.1, "pgd": 0.001}  # step sizes


@dataclass(frozen=True)
class MaskOptions:
    """The parameters of `masks.make_mask`'s types."""

    center_scale: float = 0.25
    """center: the hole reaches from this share of the side to 1 minus it."""
    random_share: float = 0.2
    """random: the share of the pixels that is hidden."""
    grid_step: int = 4
    """grid: one pixel is kept in so many by so many."""
    lowres_block: int = 8
    """lowres: side of the blocks whose means are kept."""


@dataclass(frozen=True)
class SearchOptions:
    """How `DCGAN.complete` searches for z; the defaults are what measured best (README), POST the post's search."""

    approach: str = "lbfgs"
    """`lbfgs`, limited-memory BFGS; `adam`; `pgd`, the post's projected gradient descent; or `hmc`, Hamiltonian Monte
    Carlo."""
    start: str = "zero"
    """The first z: `zero`, the middle of the cube; `random`, uniform in it; or `fit`, a linear regression of z on the
    known pixels."""
    n_iter: int = 50
    """Iterations."""
    lr: float | None = None
    """adam, pgd: step size; None: that of RATES."""
    lr_decay: str = "cosine"
    """adam, pgd: `cosine` lets the step size fall to 0 along half a cosine, `none` keeps it."""
    beta1: float = 0.9
    """adam: decay of the mean gradient."""
    beta2: float = 0.999
    """adam: decay of the mean squared gradient."""
    eps: float = 1e-8
    """adam: added to the root of the mean squared gradient."""
    momentum: float = 0.9
    """pgd: momentum."""
    hmc_beta: float = 0.2
    """hmc: the potential is this times the loss."""
    hmc_eps: float = 0.001
    """hmc: size of a leapfrog step."""
    hmc_l: int = 100
    """hmc: leapfrog steps an iteration."""
    hmc_anneal: float = 1.0
    """hmc: what hmc_beta is multiplied by after each iteration."""
    context_window: int = 7
    """Side of the window of the weighted contextual loss; 0: all known pixels weigh 1."""
    lam: float = 0.1
    """Weight of the perceptual loss."""
    z_penalty: float = 5.0
    """Weight of |z|^2, which keeps z from fitting the known pixels at the expense of the hidden ones."""
    out_interval: int = 50
    """Iterations between two frames; 0: no frames, only results."""
    seed: int = 0
    """What a picture's random z and momenta follow from, together with its place."""


POST = SearchOptions(
    approach="adam", start="random", n_iter=1000, lr=0.01, lr_decay="none", context_window=0, z_penalty=0.0
)
"""The search of the post's repository."""
