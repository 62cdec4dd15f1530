"""What libraries say, as a part of a sentence."""

import pytest

from core.common.library_reasons import first_cause, reason_of


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an implementation for ConvInteger(10) node with name 'x'",
            "Could not find an implementation for ConvInteger(10) node with name 'x'",
        ),
        (
            "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model from /home/me/m.onnx failed:Protobuf parsing failed.",
            "Protobuf parsing failed",
        ),
        (
            "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Add node. Name:'add' "
            "Status Message: /onnxruntime_src/core/framework/op_kernel.h:83 sizes 3 and 4 do not fit",
            "in Add, … sizes 3 and 4 do not fit",
        ),
        (
            "This is an invalid model. void onnxruntime::Graph::Initialize(const Node&) Graph output (y) does not exist.",
            "This is an invalid model. Graph output (y) does not exist",
        ),
        (
            'This is an invalid model. In Node, ("fc", Gemm, "", -1) : ("a": tensor(float),) -> ("b": tensor(float),) , '
            "Error Node (fc) has input size 1 not in range [min=2, max=3].",
            "This is an invalid model. in Gemm, Node (fc) has input size 1 not in range [min=2, max=3]",
        ),
        ("\n\nRuntimeError: shape '[2, 3]' is invalid\nat line 2", "shape '[2, 3]' is invalid"),
        ("/onnxruntime_src/onnxruntime/core/graph/graph.cc:1234 bad node", "bad node"),
        ("Failed to decompose. \x1b[96mThis is step 2/3\x1b[0m", "Failed to decompose. This is step 2/3"),
        ("", "it gives no reason"),
        ("x" * 500, "x" * 160 + "…"),
    ],
)
def test_a_reason_is_a_line_without_codes_paths_and_class_names(text, reason):
    assert reason_of(RuntimeError(text)) == reason


def test_the_first_cause_is_what_others_were_raised_from():
    try:
        try:
            raise ValueError("sizes 3 and 4 do not fit")
        except ValueError as error:
            raise RuntimeError("step 2/3 failed") from error
    except RuntimeError as error:
        assert reason_of(first_cause(error)) == "sizes 3 and 4 do not fit"
