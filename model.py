"""A DCGAN, its adversarial training, and the search that completes pictures with it.

Radford et al., "Unsupervised Representation Learning with Deep Convolutional GANs" (arXiv:1511.06434); Yeh, Chen
et al., "Semantic Image Inpainting with Deep Generative Models" (arXiv:1607.07539); Amos, "Image Completion with
Deep Learning in TensorFlow" (2016), here "the post".

    dcgan = DCGAN.load("checkpoints/pretrained")
    images = dcgan.generator(z)              # z [batch, z_dim] in [-1, 1] -> [batch, H, W, c_dim] in [-1, 1]
    logits = dcgan.discriminator(images)     # [batch, 1]
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from dcgan import checkpoints, tensorflow1
from dcgan.options import KEEP, NetworkOptions, SearchOptions, TrainOptions
from dcgan.search import HOLDING, SEARCHES, Point, project, random_z
from ops import Adam, Weights, batch_norm, conv2d, conv2d_transpose, fill_rows, keras, linear, lrelu, tf
from pictures.dataset import Dataset
from pictures.masks import context_weights, each_mask
from pictures.sheets import to_uint8
from utils import UserError

FIT_SAMPLES = 1024  # of G, for the regression that `start="fit"` begins with
FIT_RIDGE = 0.1  # its penalty, a share of the mean eigenvalue
LOSSES = ("d_loss", "d_loss_real", "d_loss_fake", "g_loss")


Pictures = np.ndarray | Dataset


@dataclass(frozen=True)
class TrainState:
    """What `DCGAN.train` yields after a step; the arrays are tensors that nobody has waited for yet."""

    step: int
    """Steps done, 1 and up."""
    epoch: int
    """0 and up."""
    batch: int
    """Place of the step in its epoch, 1 to `batches`."""
    batches: int
    """Steps an epoch."""
    losses: Any
    """[4]: LOSSES as the updates saw them; d_loss is that before the D update, g_loss that of the second G update."""
    z: Any
    """[batch, z_dim], the step's z."""
    d_logits_real: Any
    """[batch, 1], of the D update."""
    d_logits_fake: Any
    """[batch, 1], of the D update."""


@dataclass(frozen=True)
class SearchState:
    """What `DCGAN.complete` yields: where the search stands after some iterations."""

    iteration: int
    """Updates of z so far."""
    z: np.ndarray
    """[batch, z_dim] in [-1, 1]."""
    losses: np.ndarray
    """[batch, 3]: contextual, perceptual and total loss at z; not finite while no z is found where they are."""
    restarts: np.ndarray
    """[batch]: how often a picture's search began anew because its loss was not finite."""
    generated: Any
    """[batch, H, W, c_dim] uint8, G(z); None between the iterations that are to be seen."""
    completed: Any
    """[batch, H, W, c_dim] uint8, the known pixels as they came, G(z) in the hole; None where `generated` is."""


class DCGAN:
    """Generator and discriminator with their training and the search for z.

    `generator` is the averaged generator of training, the one to sample and complete with. Both networks run
    batch normalisation in inference mode unless called with `training=True`.
    """

    def __init__(
        self,
        image_size: int = NetworkOptions.image_size,
        c_dim: int = NetworkOptions.c_dim,
        z_dim: int = NetworkOptions.z_dim,
        gf_dim: int | Sequence[int] = NetworkOptions.gf_dim,
        df_dim: int | Sequence[int] = NetworkOptions.df_dim,
        seed: int = 0,
    ):
        """Networks as `options.NetworkOptions` says, with random weights that follow from `seed`.

        ValueError if there are no such networks.
        """
        self.options = NetworkOptions(image_size, c_dim, z_dim, gf_dim, df_dim)
        self.image_size, self.c_dim, self.z_dim = image_size, c_dim, z_dim
        self.generator = self._build_generator(seed)
        self.discriminator = self._build_discriminator(seed + 1)
        self.step = tf.Variable(0, dtype=tf.int64)
        self.live_generator: Any = None  # the one that training updates; set by start_training

    # ------------------------------------------------------------------------------------ networks

    def _build_generator(self, seed: int) -> keras.Model:
        weights = Weights(seed)
        widths = self.options.g_dims
        layers = [
            keras.Input((self.z_dim,)),
            linear(4 * 4 * widths[0], weights, "g_h0_lin"),
            keras.layers.Reshape((4, 4, widths[0])),  # 4x4x512 at image_size 64
            batch_norm("g_bn0"),
            keras.layers.ReLU(),
        ]
        for i, width in enumerate(widths[1:], 1):  # -> 8x8x256 -> 16x16x128 -> 32x32x64
            layers += [conv2d_transpose(width, weights, f"g_h{i}"), batch_norm(f"g_bn{i}"), keras.layers.ReLU()]
        layers += [  # -> 64x64x3
            conv2d_transpose(self.c_dim, weights, f"g_h{len(widths)}"),
            keras.layers.Activation("tanh"),
        ]
        return keras.Sequential(layers, name="generator")

    def _build_discriminator(self, seed: int) -> keras.Model:
        weights = Weights(seed)
        widths = self.options.d_dims
        layers = [
            keras.Input((self.image_size, self.image_size, self.c_dim)),
            conv2d(widths[0], weights, "d_h0_conv"),  # 64x64x3 -> 32x32x64
            lrelu(),
        ]
        for i, width in enumerate(widths[1:], 1):  # -> 16x16x128 -> 8x8x256 -> 4x4x512
            layers += [conv2d(width, weights, f"d_h{i}_conv"), batch_norm(f"d_bn{i}"), lrelu()]
        layers += [keras.layers.Flatten(), linear(1, weights, f"d_h{len(widths)}_lin")]
        return keras.Sequential(layers, name="discriminator")

    # ------------------------------------------------------------------------------------ training

    def train(self, pictures: Pictures, options: TrainOptions) -> Iterator[TrainState]:
        """Trains on `pictures`, uint8 [N, H, W, c_dim], from the step reached; yields after each step.

        A step is one D update and two G updates on the same z. What it does follows from the pictures, the options
        and the step's number alone. Stop by leaving the loop. To use `generator` before the loop has ended by itself,
        `settle_statistics` first. ValueError if `pictures` are of another kind than the model's, UserError if the
        device has no memory for a step.
        """
        self._check(pictures)
        if self.live_generator is None:
            self.start_training()
        for optimizer in (self._g_optimizer, self._d_optimizer):
            optimizer.learning_rate, optimizer.beta_1 = options.learning_rate, options.beta1
        batch_size = min(options.batch_size, len(pictures))
        batches = len(pictures) // batch_size
        steps = range(int(self.step), options.epochs * batches)

        @lru_cache(maxsize=1)
        def order(epoch: int) -> np.ndarray:
            return np.random.default_rng([options.seed, epoch]).permutation(len(pictures))

        def load(step: int) -> np.ndarray:
            epoch, batch = divmod(step, batches)
            return pictures[order(epoch)[batch * batch_size : (batch + 1) * batch_size]]

        for step, x_real in zip(steps, one_ahead(load, steps), strict=True):
            with enough_memory(batch_size, self.image_size):
                outcome = self._train_step(tf.constant(x_real), tf.constant(step), options)
            yield TrainState(step + 1, step // batches, step % batches + 1, batches, *outcome)
        self.settle_statistics()

    def _check(self, pictures: Pictures) -> None:
        shape = (self.image_size, self.image_size, self.c_dim)
        if pictures.dtype != np.uint8 or pictures.shape[1:] != shape or not len(pictures):
            raise ValueError(
                f"pictures are {pictures.dtype} {pictures.shape}, not uint8 [N, {shape}] with N at least 1"
            )

    def start_training(self) -> None:
        """Makes what only training needs: the generator that is updated, and an optimizer for each network."""
        self.live_generator = self._build_generator(seed=0)
        self.live_generator.set_weights(self.generator.get_weights())
        self._g_optimizer, self._d_optimizer = (Adam(epsilon=1e-8, name="adam") for _ in range(2))
        self._g_optimizer.build(self.live_generator.trainable_variables)
        self._d_optimizer.build(self.discriminator.trainable_variables)

    @tf.function
    def _train_step(self, pictures, step, options: TrainOptions):
        """One D update and two G updates; returns what TrainState holds of them."""
        seeds = tf.stack([[options.seed, 2 * step], [options.seed, 2 * step + 1]])
        batch_size = tf.shape(pictures)[0]
        x_real = to_float(pictures)
        if options.flip:
            x_real = random_flip(x_real, seeds[1])
        z = tf.random.stateless_uniform([batch_size, self.z_dim], seeds[0], minval=-1.0)

        with tf.GradientTape() as tape:
            x_fake = self.live_generator(z, training=True)
            with tape.stop_recording():
                d_losses, d_logits_real, d_logits_fake = self._update_discriminator(x_real, x_fake)
            # G has not changed since, so its first update needs no second forward pass.
            g_loss = self._g_loss(x_fake)
        self._update_generator(tape, g_loss)
        with tf.GradientTape() as tape:
            g_loss = self._g_loss(self.live_generator(z, training=True))
        self._update_generator(tape, g_loss)

        self._update_average(options.ema)
        self.step.assign_add(1)
        return tf.stack([*d_losses, g_loss]), z, d_logits_real, d_logits_fake

    def _update_discriminator(self, x_real, x_fake):
        with tf.GradientTape() as tape:
            # Two passes: batch normalisation must see reals and fakes apart.
            d_logits_real = self.discriminator(x_real, training=True)
            d_logits_fake = self.discriminator(x_fake, training=True)
            d_loss_real = cross_entropy(d_logits_real, 1.0)
            d_loss_fake = cross_entropy(d_logits_fake, 0.0)
            d_loss = d_loss_real + d_loss_fake
        variables = self.discriminator.trainable_variables
        self._d_optimizer.apply(tape.gradient(d_loss, variables), variables)
        return (d_loss, d_loss_real, d_loss_fake), d_logits_real, d_logits_fake

    def _g_loss(self, x_fake):
        return cross_entropy(self.discriminator(x_fake, training=True), 1.0)

    def _update_generator(self, tape, g_loss):
        variables = self.live_generator.trainable_variables
        self._g_optimizer.apply(tape.gradient(g_loss, variables), variables)

    def _update_average(self, ema: float):
        # The ramp keeps the random first weights from lingering in the average of a short run.
        step = tf.cast(self.step, tf.float32)
        decay = tf.minimum(ema, (1 + step) / (10 + step))
        weights = zip(self.generator.trainable_variables, self.live_generator.trainable_variables, strict=True)
        for average, live in weights:
            average.assign(live + decay * (average - live))

    def settle_statistics(self) -> None:
        """Gives the generator's batch normalisation the statistics of its own feature maps, for 256 fixed z.

        Averaged weights make other feature maps than the weights they are averaged from, so averaged statistics
        would not fit them: samples come out pale. (Brock et al., arXiv:1809.11096, call these standing statistics.)
        """
        x = tf.constant(np.random.default_rng(0).uniform(-1, 1, (256, self.z_dim)), tf.float32)
        for layer in self.generator.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                mean, variance = tf.nn.moments(x, list(range(x.shape.rank - 1)))
                layer.moving_mean.assign(mean)
                layer.moving_variance.assign(variance)
            x = layer(x)

    # ---------------------------------------------------------------------------------- completion

    def complete(
        self,
        pictures: np.ndarray,
        mask: np.ndarray,
        options: SearchOptions,
        lowres: int = 0,
        places: Sequence[int] | None = None,
    ) -> Iterator[SearchState]:
        """Searches for each picture the z in [-1, 1] whose G(z) agrees with its known pixels and looks real.

        pictures: uint8 [batch, H, W, c_dim].
        mask: [H, W] or [batch, H, W], 1 where a pixel is known and 0 in the hole. Nothing of the hole is read, but
            for `lowres`: the means of blocks of that side are then known everywhere.
        places: what number each picture has, 0 and up unless given; its first z follows from the seed and that.

        Minimises contextual + lam * perceptual + z_penalty * |z|^2 for each picture (the post; paper, section 3.2; the
        last term is ours) and yields the state after each iteration, with pictures at iteration 0, every
        `out_interval` iterations, and the last. A search whose loss is not finite begins anew from a random z.
        ValueError if `pictures` are of another kind than the model's.
        """
        self._check(pictures)
        masks = np.broadcast_to(np.asarray(mask, bool), pictures.shape[:3])
        places = list(range(len(pictures)) if places is None else places)
        y = to_float(tf.constant(pictures))
        weights = tf.constant(np.stack([context_weights(m, options.context_window) for m in masks])[..., None])
        # The means of blocks are so many times fewer than the pixels that z_penalty is meant for.
        factors = tf.constant([options.lam, options.z_penalty / max(lowres, 1) ** 2])
        restarts = np.zeros(len(places), int)
        found = np.zeros(len(places), bool)  # a finite loss
        holds = options.approach in HOLDING

        def measure(z: np.ndarray) -> Point:
            with enough_memory(len(z), self.image_size):
                losses, gradient = self._search_loss(tf.constant(z, tf.float32), y, weights, factors, lowres)
            return Point(z, losses.numpy().astype(float), gradient.numpy().astype(float), np.zeros(len(z), bool))

        def evaluate(z: np.ndarray) -> Point:
            point = measure(z)
            finite = np.isfinite(point.loss)
            anew = ~finite & ~(holds & found)
            np.logical_or(found, finite, out=found)
            if not anew.any():
                return point
            restarts[anew] += 1
            random = [random_z(options.seed, p, self.z_dim, r) for p, r in zip(places, restarts, strict=True)]
            return replace(measure(np.where(anew[:, None], random, z)), anew=anew)

        first = self._first_z(y, masks, options, places)
        for i, point in enumerate(SEARCHES[options.approach](evaluate, first, options, places)):
            generated = completed = None
            if i == options.n_iter or (options.out_interval and i % options.out_interval == 0):
                generated = to_uint8(self.generator(point.z))
                completed = np.where(masks[..., None], pictures, generated)
            yield SearchState(i, point.z.astype(np.float32), point.losses, restarts.copy(), generated, completed)

    @tf.function
    def _search_loss(self, z, y, weights, factors, lowres: int):
        """[batch, 3] losses and [batch, z_dim] gradient of the last, the total, at z."""
        lam, z_penalty = tf.unstack(factors)
        with tf.GradientTape() as tape:
            tape.watch(z)
            x_fake = self.generator(z)
            contextual = tf.reduce_sum(weights * tf.abs(x_fake - y), axis=[1, 2, 3])
            if lowres:
                contextual += tf.reduce_sum(tf.abs(block_means(x_fake, lowres) - block_means(y, lowres)), [1, 2, 3])
            d_logits = fill_rows(self.discriminator(x_fake))
            perceptual = tf.nn.sigmoid_cross_entropy_with_logits(tf.ones_like(d_logits), d_logits)[: len(y), 0]
            total = contextual + lam * perceptual + z_penalty * tf.reduce_sum(z**2, axis=1)
        gradient = tape.gradient(total, z)
        finite = tf.reduce_all(tf.math.is_finite(gradient), axis=1)
        total = tf.where(finite, total, math.inf)
        return tf.stack([contextual, perceptual, total], axis=1), tf.where(finite[:, None], gradient, 0.0)

    def _first_z(self, y, masks: np.ndarray, options: SearchOptions, places: Sequence[int]) -> np.ndarray:
        """[batch, z_dim]: where the searches start, by `options.start`."""
        if options.start == "zero":
            return np.zeros((len(places), self.z_dim))
        if options.start == "random":
            return np.stack([random_z(options.seed, place, self.z_dim) for place in places])
        # Ridge regression of z on the known pixels of G(z), learned from samples: kernel form, one for each mask.
        z = np.random.default_rng(options.seed).uniform(-1, 1, (FIT_SAMPLES, self.z_dim)).astype(np.float32)
        samples = np.concatenate([self.generator(part).numpy() for part in np.split(z, FIT_SAMPLES // 64)])
        first = np.empty((len(places), self.z_dim))
        for known, where in each_mask(masks):
            if not known.any():
                first[where] = 0
                continue
            x = samples[:, known].reshape(FIT_SAMPLES, -1)
            mean = x.mean(axis=0)
            x -= mean
            kernel = x @ x.T
            kernel[np.diag_indices(FIT_SAMPLES)] += FIT_RIDGE * kernel.trace() / FIT_SAMPLES
            weights = np.linalg.solve(kernel, z)
            for i in where:
                first[i] = (y[i].numpy()[known].ravel() - mean) @ x.T @ weights
        return project(first)

    # --------------------------------------------------------------------------------------- files

    def save(self, directory: str | Path, keep: int = KEEP) -> None:
        """Writes config.json and a checkpoint, with the training state if there is one; the `keep` newest stay.

        UserError if it cannot be written or a weight is not finite; what was saved before is whole then.
        """
        if self.live_generator is not None:
            self.settle_statistics()
        contents = self._named_variables(training=self.live_generator is not None)
        if not all(np.isfinite(variable).all() for variable in tf.nest.flatten(contents)):
            raise UserError(
                f"a weight is not finite after step {int(self.step)}, which is not saved: the checkpoint before it is "
                "good; go on from it with a lower --learning_rate"
            )
        checkpoints.write(Path(directory), self.options, contents, int(self.step), keep)

    @classmethod
    def load(cls, directory: str | Path, training: bool = False) -> "DCGAN":
        """The model in `directory`, ready for use, or to go on with its `training`.

        The directory may hold a TensorFlow 1 checkpoint of the post's repository. UserError if there is no model, no
        training state, or nothing undamaged.
        """
        directory = Path(directory)
        of_tensorflow1 = tensorflow1.newest(directory)
        if of_tensorflow1 and not training:
            return cls._load_tensorflow1(*of_tensorflow1)
        dcgan = cls(**asdict(checkpoints.read_config(directory)))
        if training:
            dcgan.start_training()
        checkpoints.read(directory, dcgan._named_variables(training), training)
        return dcgan

    @classmethod
    def _load_tensorflow1(cls, step: int, path: Path) -> "DCGAN":
        options, values = tensorflow1.read(path)
        dcgan = cls(**asdict(options))
        variables = {
            f"{network.name}/{layer}/{name}": variable
            for network in (dcgan.generator, dcgan.discriminator)
            for layer, variables in _by_name(network).items()
            for name, variable in variables.items()
        }
        for name in sorted(variables.keys() | values.keys()):
            if name not in variables or name not in values or variables[name].shape != values[name].shape:
                raise UserError(f"{path} is no DCGAN of the post's repository: its {name} is missing or does not fit")
            variables[name].assign(values[name])
        dcgan.step.assign(step)
        return dcgan

    def _named_variables(self, training: bool) -> dict[str, Any]:
        """The checkpoint's contents under names of their own, not under where Python keeps the objects."""
        contents: dict[str, Any] = {
            "step": self.step,
            "generator": _by_name(self.generator),
            "discriminator": _by_name(self.discriminator),
        }
        if training:
            contents["live_generator"] = _by_name(self.live_generator)
            contents["g_optimizer"] = {v.path.split("/", 1)[1]: v.value for v in self._g_optimizer.variables}
            contents["d_optimizer"] = {v.path.split("/", 1)[1]: v.value for v in self._d_optimizer.variables}
        return contents


def model_directory(named: Path) -> Path:
    """The directory named, or that of the bundled model where the default one, `checkpoints`, holds none."""
    trained = (named / "config.json").exists() or checkpoints.checkpoints(named) or tensorflow1.newest(named)
    if named == Path("checkpoints") and not trained:
        return Path(__file__).resolve().parent / "checkpoints" / "pretrained"
    return named


@contextmanager
def enough_memory(batch_size: int, image_size: int) -> Iterator[None]:
    """UserError if the device runs out of memory in here."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise UserError(
            f"out of memory with batches of {batch_size} pictures of {image_size}x{image_size}: name a smaller batch"
        ) from error


def one_ahead(function: Callable[[int], Any], items: Iterable[int]) -> Iterator[Any]:
    """function(item) for each item, computed in a thread while the one before is in use."""
    with ThreadPoolExecutor(1) as thread:
        following: Any = None
        for item in items:
            current, following = following, thread.submit(function, item)
            if current:
                yield current.result()
        if following:
            yield following.result()


def _by_name(network: keras.Model) -> dict[str, dict[str, tf.Variable]]:
    return {
        layer.name: {variable.name: variable.value for variable in layer.variables}
        for layer in network.layers
        if layer.variables
    }


def to_float(pixels):
    """uint8 pixels to float32 in [-1, 1], on the device that holds them."""
    return tf.cast(pixels, tf.float32) / 127.5 - 1


def cross_entropy(logits, label: float):
    """Mean sigmoid cross-entropy of logits, all with one label, 1 for real and 0 for fake."""
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(tf.fill(tf.shape(logits), label), logits))


def random_flip(images, seed):
    """Mirrors about half of the images [B, H, W, C]; which ones follows from `seed`, two integers."""
    coins = tf.random.stateless_uniform([tf.shape(images)[0], 1, 1, 1], seed)
    return tf.where(coins < 0.5, images, images[:, :, ::-1])


def block_means(images, side: int):
    """[B, H, W, C] -> [B, H / side, W / side, C]: the means of side x side blocks."""
    return tf.nn.avg_pool2d(images, side, side, "VALID")
