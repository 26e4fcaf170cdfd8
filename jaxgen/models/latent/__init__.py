"""Autoencoders, whose latents are quantized or bounded so that another model can learn them."""
