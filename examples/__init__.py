"""Short lessons, each a script of its own: ``procactors examples`` lists them."""
