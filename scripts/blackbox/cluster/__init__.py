"""The cluster test: a stack of several servers of each store loses one of each under load."""
