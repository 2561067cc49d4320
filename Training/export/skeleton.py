"""Graphs without weights: what a network's inference needs besides its checkpoint.

A skeleton is an ONNX graph whose initialisers all lie in `weights.bin`, at the offsets of `layout.json`. Initialisers
carry the checkpoint's own keys, one to one, so that the node can fill `weights.bin` from a .pth without PyTorch.
"""

import hashlib
import io
import json

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

ALIGNMENT = 64
OPSET = 17


def trace(module, inputs, input_names, output_names, batched):
    """The module's ONNX graph; `batched` names the inputs and outputs whose first axis is free."""
    buffer = io.BytesIO()
    # No folding, and training mode kept as it is: either would merge or rewrite the checkpoint's tensors.
    torch.onnx.export(module, inputs, buffer, input_names=input_names, output_names=output_names, opset_version=OPSET,
                      dynamic_axes={name: {0: "N"} for name in batched}, do_constant_folding=False,
                      training=torch.onnx.TrainingMode.PRESERVE, dynamo=False)
    model = onnx.load_from_string(buffer.getvalue())
    for node in model.graph.node:
        node.doc_string = ""
        node.name = ""
    del model.graph.value_info[:]
    number_values(model.graph)
    shrink_indices(model.graph)
    return model


def number_values(graph):
    """Short names for the values between nodes: the traced paths are half of a skeleton's size."""
    keep = {value.name for value in [*graph.input, *graph.output, *graph.initializer]}
    names = {name: name for name in keep}
    for node in graph.node:
        for index, name in enumerate(node.output):
            names.setdefault(name, f"v{len(names)}" if name else "")
            node.output[index] = names[name]
        for index, name in enumerate(node.input):
            node.input[index] = names[name] if name else ""


def shrink_indices(graph):
    """Large integer constants as one byte an entry and a Cast; equal ones once."""
    seen, nodes = {}, []
    for node in graph.node:
        value = node.attribute[0].t if node.op_type == "Constant" and node.attribute[0].HasField("t") else None
        if value is None or value.data_type != TensorProto.INT64 or np.prod(value.dims) < 256:
            nodes.append(node)
            continue
        array = numpy_helper.to_array(value)
        assert array.min() >= 0 and array.max() < 256
        key = (array.shape, array.tobytes())
        if key in seen:
            nodes.append(helper.make_node("Identity", [seen[key]], node.output))
            continue
        seen[key] = node.output[0]
        small = f"{node.output[0]}b"
        nodes.append(helper.make_node("Constant", [], [small], value=numpy_helper.from_array(array.astype(np.uint8))))
        nodes.append(helper.make_node("Cast", [small], node.output, to=TensorProto.INT64))
    del graph.node[:]
    graph.node.extend(nodes)


def write(folder, graphs, state):
    """Writes NAME.onnx for each graph, and layout.json; checks that graphs and checkpoint hold the same tensors."""
    used = {}
    for name, model in graphs.items():
        for initializer in model.graph.initializer:
            assert initializer.name in state, f"{name}: {initializer.name} is not in the checkpoint"
            expected = state[initializer.name].float().numpy()
            assert np.array_equal(numpy_helper.to_array(initializer), expected), f"{name}: {initializer.name} was rewritten"
            used[initializer.name] = expected.shape
    offset, tensors = 0, []
    for key in [key for key in state if key in used]:
        tensors.append({"key": key, "shape": list(used[key]), "offset": offset})
        offset += -(-int(np.prod(used[key])) * 4 // ALIGNMENT) * ALIGNMENT
    places = {tensor["key"]: tensor for tensor in tensors}
    folder.mkdir(parents=True, exist_ok=True)
    for name, model in graphs.items():
        for initializer in model.graph.initializer:
            length = int(np.prod(initializer.dims)) * 4
            initializer.ClearField("raw_data")
            initializer.data_location = TensorProto.EXTERNAL
            for key, value in [("location", "weights.bin"), ("offset", places[initializer.name]["offset"]), ("length", length)]:
                initializer.external_data.add(key=key, value=str(value))
        data = model.SerializeToString()
        (folder / f"{name}.onnx").write_bytes(data)
        print(f"{folder.name}/{name}.onnx {len(data)} bytes, {len(model.graph.initializer)} initialisers, "
              f"sha256 {hashlib.sha256(data).hexdigest()[:16]}")
    layout = {"byteCount": offset, "tensors": tensors, "unused": [key for key in state if key not in used]}
    text = json.dumps(layout, indent=None)
    # A line a tensor: readable, and a change shows as one.
    (folder / "layout.json").write_text(text.replace('{"key"', '\n{"key"').replace('"unused"', '\n"unused"') + "\n")


def fill(folder, state):
    """Writes weights.bin as the node's import does; for checks on the development machine."""
    layout = json.loads((folder / "layout.json").read_text())
    data = bytearray(layout["byteCount"])
    for tensor in layout["tensors"]:
        raw = state[tensor["key"]].float().contiguous().numpy().tobytes()
        data[tensor["offset"]:tensor["offset"] + len(raw)] = raw
    (folder / "weights.bin").write_bytes(data)
