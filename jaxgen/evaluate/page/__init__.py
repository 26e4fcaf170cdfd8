"""The page that people look at, and the file beside it to compute with."""
