"""Tools for people who work on the pack: the demo, the small models it runs on, and a ComfyUI server to run them in."""
