"""The fault test: load, disturbances, followers of event streams, and a checker that trusts none of them."""
