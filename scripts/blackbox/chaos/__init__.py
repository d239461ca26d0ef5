"""The chaos suite: a seeded schedule of faults under mixed traffic, judged from what clients heard and the database."""
