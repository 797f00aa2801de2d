"""What the scripts run: the command line, and what a run reads, says and leaves on disk."""
