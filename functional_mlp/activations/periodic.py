"""Periodic activations: sin and cos."""

from functional_mlp._dtypes import EitherArray, namespace
from functional_mlp.activations.activation import Activation


def periodic_second(z: EitherArray, a: EitherArray, ct_a: EitherArray, t_z: EitherArray) -> EitherArray:
    return -(ct_a * t_z * a)  # f'' = -f of both


# sin: da/dz = cos z


def sin_value(z: EitherArray) -> EitherArray:
    return namespace(z).sin(z)


def sin_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray) -> EitherArray:
    return ct_a * namespace(z).cos(z)


def sin() -> Activation:
    """a = sin z, z in radians."""
    return Activation("sin", sin_value, sin_vjp, second_fn=periodic_second)


# cos: da/dz = -sin z


def cos_value(z: EitherArray) -> EitherArray:
    return namespace(z).cos(z)


def cos_vjp(z: EitherArray, a: EitherArray, ct_a: EitherArray) -> EitherArray:
    return -(ct_a * namespace(z).sin(z))


def cos() -> Activation:
    """a = cos z, z in radians."""
    return Activation("cos", cos_value, cos_vjp, second_fn=periodic_second)
