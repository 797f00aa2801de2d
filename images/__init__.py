"""Pictures as arrays and as files: no network, no TensorFlow."""
