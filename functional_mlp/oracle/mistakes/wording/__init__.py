"""How every mistake is said to the person who made it: where it is, in words, and the right line in NumPy."""
