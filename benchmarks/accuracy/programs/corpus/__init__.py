"""The programs: each is one function that makes the program, written in the style that its docstring names."""
