"""Training: train-dcgan.py."""
