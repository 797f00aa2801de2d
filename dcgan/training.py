"""The adversarial training of a DCGAN: its state and its step.

Goodfellow et al., "Generative Adversarial Nets" (arXiv:1406.2661), algorithm 1, with the losses of the post.
"""

from typing import Any

from dcgan import devices
from dcgan.checkpoints import named_variables
from dcgan.options import TrainOptions
from kernels.layers import Adam
from kernels.tensorflow import keras, tf
from ops import cross_entropy, random_flip, to_float


class Training:
    """The training state, and the functions that run training steps.

    It owns the generator that learns, both optimizers and the step counter. The model's own generator is the moving
    average of the one that learns. Each device has a replica of all variables.
    """

    def __init__(
        self,
        generator: keras.Model,
        average: keras.Model,
        discriminator: keras.Model,
        step: tf.Variable,
        strategy: tf.distribute.Strategy,
        policy: str,
    ):
        """Must be called in the strategy's scope.

        generator: learns. average: the model's generator. step: counts the steps done. policy: the networks' Keras
        dtype policy; float16 needs scaled losses, or small gradients vanish.
        """
        self.generator, self.average, self.discriminator = generator, average, discriminator
        self.step, self.strategy = step, strategy
        self.g_optimizer, self.d_optimizer = (
            Adam(epsilon=1e-8, loss_scale_factor=devices.LOSS_SCALE.get(policy), name="adam") for _ in range(2)
        )
        self.g_optimizer.build(generator.trainable_variables)
        self.d_optimizer.build(discriminator.trainable_variables)

    def set_options(self, options: TrainOptions) -> None:
        """Sets the optimizers' rates and the scope of batch normalization."""
        for optimizer in (self.g_optimizer, self.d_optimizer):
            optimizer.learning_rate, optimizer.beta_1 = options.learning_rate, options.beta1
        for network in (self.generator, self.discriminator):
            for layer in network.layers:
                if isinstance(layer, keras.layers.BatchNormalization):
                    layer.synchronized = not options.local_norm and self.strategy.num_replicas_in_sync > 1

    def named_variables(self) -> dict[str, tf.Variable]:
        """The variables that a checkpoint holds beside those of the model, by name."""
        optimizers = {"g_optimizer": self.g_optimizer, "d_optimizer": self.d_optimizer}
        return named_variables("live_generator", self.generator) | {
            f"{name}/{variable.path.split('/', 1)[1]}": variable.value
            for name, optimizer in optimizers.items()
            for variable in optimizer.variables
        }

    # ----------------------------------------------------------------------- one step, on one device

    def train_step(self, pictures, coins, z, options: TrainOptions):
        """Updates D once and G `g_updates` times on the same z [batch, z_dim].

        pictures: uint8 [batch, H, W, c]. coins: [batch] in [0, 1), mirror pictures. Returns d_loss, d_loss_real,
        d_loss_fake and g_loss as [4], and D's logits of the real and the fake images, both [batch, 1].
        """
        x_real = to_float(pictures)
        if options.flip:
            x_real = random_flip(x_real, coins)
        x_fake, tape = self._generate(z)
        d_losses, d_logits_real, d_logits_fake = self.d_step(x_real, x_fake)
        g_loss = self.g_step(x_fake, tape)  # G is as it was, so its images serve again
        for _ in range(options.g_updates - 1):
            g_loss = self.g_step(*self._generate(z))
        return tf.stack([*d_losses, g_loss]), d_logits_real, d_logits_fake

    def d_step(self, x_real, x_fake):
        """Updates D: its logits rise for real images and fall for fake ones. Returns its losses and logits."""
        with tf.GradientTape() as tape:
            # Two passes, because batch normalization must see real and fake images separately.
            d_logits_real = self.discriminator(x_real, training=True)
            d_logits_fake = self.discriminator(x_fake, training=True)
            d_loss_real = cross_entropy(d_logits_real, 1.0)
            d_loss_fake = cross_entropy(d_logits_fake, 0.0)
            d_loss = d_loss_real + d_loss_fake
        self._apply(self.d_optimizer, self.discriminator, tape, d_loss)
        return (d_loss, d_loss_real, d_loss_fake), d_logits_real, d_logits_fake

    def g_step(self, x_fake, tape: tf.GradientTape):
        """Updates G: D's logits rise for its images `x_fake`, which `tape` saw it make. Returns its loss."""
        with tape:
            g_loss = cross_entropy(self.discriminator(x_fake, training=True), 1.0)
        self._apply(self.g_optimizer, self.generator, tape, g_loss)
        return g_loss

    def _generate(self, z):
        with tf.GradientTape() as tape:
            return self.generator(z, training=True), tape

    def _apply(self, optimizer: Adam, network: keras.Model, tape: tf.GradientTape, loss) -> None:
        share = 1 / self.strategy.num_replicas_in_sync  # of this replica's loss: gradients are summed over replicas
        variables = network.trainable_variables
        optimizer.apply(tape.gradient(loss, variables, optimizer.scale_loss(tf.constant(share))), variables)

    # ---------------------------------------------------------------- one step or more, on all devices

    @tf.function
    def run(self, batches: list[Any], first, count, options: TrainOptions):
        """Runs the steps `first`, `first + 1`, ... on the first `count` of the n `batches`.

        batches: uint8 [batch, H, W, c], each device its part. Returns losses [n, 4], z [n, batch, z_dim], and D's
        logits of real and fake images [n, batch, 1]; zeros beyond `count`.
        """
        # Random numbers are drawn here, because XLA draws others than TensorFlow from the same seed.
        drawn = [self.strategy.run(self._draw, (batch, first + i, options)) for i, batch in enumerate(batches)]
        if devices.compiles(self.strategy):
            coins, z = map(tf.stack, zip(*drawn, strict=True))
            steps = tf.function(self._steps, jit_compile=True)
            return steps(tf.stack(batches), coins, z, count, options)
        (pictures,), ((coins, z),) = batches, drawn
        return [values[None] for values in self._step(pictures, coins, z, options)]

    def _draw(self, pictures, step, options: TrainOptions):
        """Draws a replica's coins [batch] in [0, 1), and its z."""
        shape = [len(pictures), self.generator.input_shape[1]]
        coins = devices.replica_uniform(shape[:1], [options.seed, 2 * step + 1])
        return coins, 2 * devices.replica_uniform(shape, [options.seed, 2 * step]) - 1

    def _steps(self, pictures, coins, z, count, options: TrainOptions):
        """`_step` for each of the first `count` batches, which are stacked here."""
        outcomes = [tf.TensorArray(tf.float32, len(z)) for _ in range(4)]
        for i in tf.range(count):
            outcome = self._step(pictures[i], coins[i], z[i], options)
            outcomes = [array.write(i, values) for array, values in zip(outcomes, outcome, strict=True)]
        return [array.stack() for array in outcomes]

    def _step(self, pictures, coins, z, options: TrainOptions):
        """One step on all devices. Returns losses, z and both logits."""
        losses, *logits = self.strategy.run(self.train_step, (pictures, coins, z, options))
        self._update_average(options.ema)
        self.step.assign_add(1)
        losses = self.strategy.reduce("MEAN", losses, axis=None)
        return losses, *(devices.joined(self.strategy, parts) for parts in (z, *logits))

    def _update_average(self, ema: float) -> None:
        # The decay rises from 0.1, so that the random initial weights soon leave the average of a short run.
        step = tf.cast(self.step, tf.float32)
        decay = tf.minimum(ema, (1 + step) / (10 + step))
        weights = zip(self.average.trainable_variables, self.generator.trainable_variables, strict=True)
        for average, live in weights:
            self.strategy.extended.update(average.value, lambda a, b: a.assign(b + decay * (a - b)), (live.value,))
