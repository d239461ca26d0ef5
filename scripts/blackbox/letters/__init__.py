"""Messages that nobody should send, on every subject there is."""
