"""What the processes around the contract share: its methods, its errors, and errors on the wire."""
