"""Networks that recognise what is in an image: sources of features."""
