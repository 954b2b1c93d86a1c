"""It never returns."""


def backward(params, X, T):
    while True:
        pass
