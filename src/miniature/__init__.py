"""A small world of procedures, written down as a grammar and rendered to narrated video files."""
