"""Encoders, decoders and hierarchies of variational autoencoders."""
