"""The only layer that knows gRPC and protobuf."""
