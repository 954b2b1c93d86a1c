"""`python -m functional_mlp` is the command `functional-mlp`."""

from functional_mlp.cli import main

if __name__ == "__main__":
    main()
