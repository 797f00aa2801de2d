"""Completes pictures and photos with a DCGAN."""
