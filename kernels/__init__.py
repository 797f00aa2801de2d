"""TensorFlow, and layers that compute faster than its own or to the same bits for any batch."""
