"""The options of networks, training and search and their defaults, for scripts and callers alike."""

from collections.abc import Sequence
from dataclasses import dataclass

LARGEST = 65536  # number that a network's layers may have of anything
KEEP = 3  # checkpoints


@dataclass(frozen=True)
class NetworkOptions:
    """What the networks are built from; a model's config.json holds it. ValueError if nothing can be."""

    image_size: int = 64
    """Side of the pictures, a power of two, 8 or more."""
    c_dim: int = 3
    """Channels of the pictures, 1 or 3."""
    z_dim: int = 100
    """Length of z."""
    gf_dim: int | Sequence[int] = 64
    """Channels of the generator's feature maps from 4x4 up to image_size / 2; or, as one number, of the last, from
    which they double down to 4x4, but eightfold at most."""
    df_dim: int | Sequence[int] = 64
    """The same of the discriminator's, which go from image_size / 2 down to 4x4."""

    def __post_init__(self):
        widths = (dim for dims in (self.gf_dim, self.df_dim) for dim in ([dims] if isinstance(dims, int) else dims))
        for number in (self.image_size, self.c_dim, self.z_dim, *widths):
            if type(number) is not int or not 1 <= number <= LARGEST:
                raise ValueError(f"{number} is not a whole number from 1 to {LARGEST}")
        if self.image_size < 8 or self.image_size & (self.image_size - 1):
            raise ValueError(f"image_size {self.image_size} is not a power of two, 8 or more")
        if self.c_dim not in (1, 3):
            raise ValueError(f"c_dim {self.c_dim} is neither 1 nor 3")
        for name, dims in (("gf_dim", self.g_dims), ("df_dim", self.d_dims)):
            if len(dims) != self.stages:
                raise ValueError(
                    f"{name} has {len(dims)} numbers, not {self.stages} as image_size {self.image_size} asks"
                )
        # One network, one way to say it.
        for name, dims, climbing in (("gf_dim", self.g_dims, self.g_dims), ("df_dim", self.d_dims, self.d_dims[::-1])):
            usual = climbing == self._climb(climbing[-1])
            object.__setattr__(self, name, climbing[-1] if usual else tuple(dims))

    @property
    def stages(self) -> int:
        """Sizes of feature maps: 4x4, 8x8, ... image_size / 2."""
        return self.image_size.bit_length() - 3

    @property
    def g_dims(self) -> list[int]:
        """Channels of each of the generator's feature maps: [512, 256, 128, 64] for image_size 64, gf_dim 64."""
        return self._climb(self.gf_dim) if isinstance(self.gf_dim, int) else list(self.gf_dim)

    @property
    def d_dims(self) -> list[int]:
        """Channels of each of the discriminator's feature maps: [64, 128, 256, 512] for image_size 64, df_dim 64."""
        return self._climb(self.df_dim)[::-1] if isinstance(self.df_dim, int) else list(self.df_dim)

    def _climb(self, last: int) -> list[int]:
        return [last * min(8, 2**i) for i in reversed(range(self.stages))]


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


STARTS = ("zero", "random", "fit")
RATES = {"adam": 0.1, "pgd": 0.001}  # step sizes


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
