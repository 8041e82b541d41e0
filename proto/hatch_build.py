"""Compile the contract whenever this package is built or installed."""

import shutil
import sys
from pathlib import Path
from subprocess import run
from tempfile import TemporaryDirectory
from typing import Any

import grpc_tools
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2
from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompileContract(BuildHookInterface):
    """Compiles `tandem/**/*.proto` into `gen/`, with type stubs, before hatchling looks for files."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make `gen/` anew; a contract that does not compile fails the build and leaves the old one."""
        root = Path(self.root)
        with TemporaryDirectory(dir=root, prefix="gen.") as scratch:
            rules, out = Path(scratch) / "validate.binpb", Path(scratch) / "gen"
            rules.write_bytes(validation_rules().SerializeToString())
            out.mkdir()
            compile_contract(root, out, rules)
            for package in ("tandem", "buf"):
                (out / package / "py.typed").touch()
            shutil.rmtree(root / "gen", ignore_errors=True)
            out.rename(root / "gen")


def compile_contract(root: Path, out: Path, rules: Path) -> None:
    """Run protoc over our own files and `buf/validate/validate.proto`; the plug-ins are found on PATH."""
    googleapis = Path(annotations_pb2.__file__).parents[2]
    protoc = Path(grpc_tools.__file__).parent / "_proto"
    sources = sorted(str(path.relative_to(root)) for path in root.glob("tandem/**/*.proto"))
    messages = [f"--python_out={out}", f"--mypy_out=quiet:{out}"]
    services = [f"--grpc_python_out={out}", f"--mypy_grpc_out=quiet,only_async:{out}"]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{root}", f"-I{googleapis}", f"-I{protoc}"]
    command += [f"--descriptor_set_in={rules}"]
    run([*command, *messages, "buf/validate/validate.proto"], check=True, cwd=root)
    run([*command, *messages, *sources], check=True, cwd=root)
    run([*command, *services, *(name for name in sources if name.endswith("_service.proto"))], check=True, cwd=root)
    image = ["--include_imports", "--include_source_info", f"--descriptor_set_out={out / 'contract.binpb'}"]
    run([*command, *image, *sources], check=True, cwd=root)


def validation_rules() -> descriptor_pb2.FileDescriptorSet:
    """Return `buf/validate/validate.proto` with its imports: no wheel has it, protovalidate has its descriptor."""
    from protovalidate._gen.buf.validate import validate_pb  # type: ignore[import-untyped]  # noqa: PLC0415

    described = descriptor_pb2.FileDescriptorSet()
    for module in (descriptor_pb2, duration_pb2, timestamp_pb2, field_mask_pb2):
        module.DESCRIPTOR.CopyToProto(described.file.add())
    described.file.add().ParseFromString(validate_pb.desc().proto.to_binary())
    return described
