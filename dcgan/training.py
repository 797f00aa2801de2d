"""The state of a training, but for the networks that sampling and completion use, too."""

from ops import Adam, keras, named_variables, tf


class Training:
    """The generator that is updated, whose average is the model's, an optimizer for each network, and the step."""

    def __init__(self, generator: keras.Model, discriminator: keras.Model, step: tf.Variable):
        """`generator` is to be updated; `discriminator` and `step`, the number of steps done, are the model's own."""
        self.generator, self.step = generator, step
        self.g_optimizer, self.d_optimizer = (Adam(epsilon=1e-8, name="adam") for _ in range(2))
        self.g_optimizer.build(generator.trainable_variables)
        self.d_optimizer.build(discriminator.trainable_variables)

    def named_variables(self) -> dict[str, tf.Variable]:
        """What a checkpoint holds of it."""
        optimizers = {"g_optimizer": self.g_optimizer, "d_optimizer": self.d_optimizer}
        return named_variables("live_generator", self.generator) | {
            f"{name}/{variable.path.split('/', 1)[1]}": variable.value
            for name, optimizer in optimizers.items()
            for variable in optimizer.variables
        }
