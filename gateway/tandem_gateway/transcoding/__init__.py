"""HTTP and JSON to protobuf and back, from descriptors alone."""
