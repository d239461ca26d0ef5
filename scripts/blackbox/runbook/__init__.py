"""The customer's own commands: the checklist and the runbooks, run as they stand there."""
