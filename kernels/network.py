"""Networks whose files need nothing but Keras."""

from pathlib import Path
from typing import Any

from kernels.tensorflow import keras, tf


class Network(keras.Sequential):
    """A sequence of layers that is saved and exported as Keras' own layers, in float32.

    So the files open without this project. Batch normalization is in inference mode in exported networks.
    """

    def plain(self) -> keras.Sequential:
        """The same network of Keras' own layers, with copies of the weights."""
        network = keras.Sequential([keras.Input(self.input_shape[1:]), *map(_plain, self.layers)], name=self.name)
        network.set_weights(self.get_weights())
        network(tf.zeros([1, *self.input_shape[1:]]))  # an export to ONNX asks for a call
        return network

    def save(self, filepath: str | Path, *args: Any, **kwargs: Any) -> None:
        """Writes a `.keras` file for `keras.models.load_model`."""
        self.plain().save(filepath, *args, **kwargs)

    def export(self, filepath: str | Path, *args: Any, **kwargs: Any) -> None:
        """Writes a SavedModel; with `format="onnx"` an ONNX file, which needs the package tf2onnx."""
        self.plain().export(filepath, *args, **kwargs)


def _plain(layer: keras.layers.Layer) -> keras.layers.Layer:
    """The layer of Keras that the layer is or derives from."""
    kind: Any = next(each for each in type(layer).__mro__ if each.__module__.startswith("keras."))
    config = layer.get_config() | {"dtype": "float32"}
    if "kernel_initializer" in config:
        config["kernel_initializer"] = "zeros"
    return kind.from_config(config)
