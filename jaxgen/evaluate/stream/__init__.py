"""Sets of images, what networks see in them, and what is kept of it: a block at a time, merging, resumable."""
