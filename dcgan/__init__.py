"""What the class DCGAN delegates: its options, the searches and where they start, and models on disk."""
