"""From a retriever to a graph: torch.export, and from there ONNX."""

import copy
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 18
"""The one that torch's exporter is written in; runtimes since 2023 have it."""


class Embedder(nn.Module):
    """Normalised images (B, 3, H, W) float32 -> embeddings (B, D) float32, each of length 1.

    Args:
        model: A DVARetriever.
        dtype: Of the encoder and the neck.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).to('cpu', dtype).eval().requires_grad_(False)
        self.dtype = dtype

    def forward(self, images: Tensor) -> Tensor:
        return F.normalize(self.model.extract_feat(images.to(self.dtype)).float(), dim=1)


def trace(embedder: Embedder, size: list[int]) -> ExportedProgram:
    """Export by torch.export, for batches of any size; nothing of this machine stays in it.

    Raises:
        ValueError: If the encoder's code cannot be traced so.
    """
    images = torch.zeros(2, 3, *size)
    shapes = dict(images={0: Dim('batch', min=1)})
    try:
        program = torch.export.export(embedder, (images,), dynamic_shapes=shapes, strict=False)
    except Exception as error:  # tracing raises nearly anything
        reason = str(error).strip().partition('\n')[0]
        name = type(embedder.model.backbone).__name__
        raise ValueError(f'torch.export cannot trace {name} for any batch: {reason}') from error
    for node in program.graph.nodes:
        for name in ('stack_trace', 'nn_module_stack', 'source_fn_stack'):  # paths of this machine
            node.meta.pop(name, None)
    return program


def to_onnx(program: ExportedProgram) -> 'ModelProto':
    """The same graph in ONNX: input 'images', output 'embeddings', a batch called 'batch'."""
    exported = torch.onnx.export(
        program,
        (),
        dynamo=True,
        verbose=False,
        opset_version=OPSET,
        external_data=False,
        input_names=['images'],
        output_names=['embeddings'],
    )
    proto = exported.model_proto
    del proto.metadata_props[:], proto.graph.metadata_props[:], proto.graph.value_info[:]
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.doc_string = ''
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = 'batch'
        del value.metadata_props[:]
    return proto


def quantize(proto: 'ModelProto', folder: Path) -> 'ModelProto':
    """Weights of the matrix products as int8, a scale a channel; activations when they are seen.

    Seven bits of the eight are used: with all, CPUs without VNNI overflow.

    Args:
        proto: In float32.
        folder: For intermediate files.
    """
    import onnx
    from onnxruntime.quantization import quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    inferred, quantized = folder / 'inferred.onnx', folder / 'quantized.onnx'
    quant_pre_process(proto, inferred, skip_symbolic_shape=True, skip_optimization=True)
    quantize_dynamic(
        inferred,
        quantized,
        op_types_to_quantize=['MatMul', 'Gemm'],
        per_channel=True,
        reduce_range=True,
    )
    proto = onnx.load(quantized)
    del proto.metadata_props[:], proto.graph.value_info[:]
    return proto
