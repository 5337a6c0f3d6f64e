"""A real ComfyUI to test and measure in: in this process, as a server, and in a browser."""
