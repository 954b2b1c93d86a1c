"""Whether the gradients of any JAX function are judged rightly: right and wrong backwards of many operations."""
