"""Comparisons of images one to one."""
