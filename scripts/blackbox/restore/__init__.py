"""The restore drill: a backup under load, the loss of everything, and what comes of the tasks afterwards."""
