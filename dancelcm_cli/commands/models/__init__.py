"""`dancelcm models`: the weights of others come in, and models go out."""
