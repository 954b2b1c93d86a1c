"""Trying to break what must not break: killed runs (`soak`), and programs that fail under `drive`."""
