"""Modules, losses and autograd functions of PyTorch."""
