"""Wrong programs, by what is wrong in them."""
