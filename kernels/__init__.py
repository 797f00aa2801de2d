"""TensorFlow, and faster layers than its own."""
