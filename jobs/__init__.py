"""The work of the scripts: the command line, reading, messages, and the files that are written."""
