"""What the system does: one function per intention, taking a Transaction."""
