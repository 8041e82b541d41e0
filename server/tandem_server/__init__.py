"""Tandem's gRPC server."""
