"""Protobuf's own reader of config.pbtxt beside ours: every text means the same to both, in every form
that `tern check --convert` writes."""

import json
import subprocess

import pytest
from google.protobuf import json_format, text_format
from google.protobuf.descriptor import FieldDescriptor as Field
from tritonclient.grpc import model_config_pb2

from harness import EXAMPLES, TERN

ModelConfig = model_config_pb2.ModelConfig

# What each says is clear from protobuf's answer; the names are for the report.
SAME = {
    "empty": "",
    "only a comment": "# nothing\n   # at all",
    "comments": 'name: "a" # the name\n#max_batch_size: 3\nmax_batch_size: 4#four',
    "one line": 'name: "a" max_batch_size: 4 backend: "b"',
    "commas": 'name: "a", max_batch_size: 4, backend: "b"',
    "semicolons": 'name: "a"; max_batch_size: 4; backend: "b";',
    "single quotes": "name: 'it is \"a\"'",
    "adjacent strings": 'name: "a" \'b\'\n  "c"',
    "escapes": r'name: "\a\b\f\n\r\t\v\\\"" backend: "\'"',
    "octal escapes": r'name: "\101\1021\07x"',
    "hexadecimal escapes": r'name: "\x41\x4a\x4Bg"',
    "unicode escapes": r'name: "\u00e4\u20AC\U0001F600"',
    "utf-8": 'name: "äö€😀"',
    "bytes that make utf-8": r'name: "\303\244\xe2\x82\xac"',
    "an empty string": 'name: ""',
    "a message with a colon": "optimization: { graph: { level: 1 } }",
    "angle brackets": "optimization < graph < level: 1 > >",
    "angle brackets with a colon": "optimization: < graph: < level: 1 > >",
    "repeated scalars": "input { dims: 1 dims: 2 dims: [ 3, 4 ] }",
    "an empty list": "input { dims: [] } instance_group []",
    "a list of messages": 'input [ { name: "a" }, { name: "b" dims: [1] } ] input { name: "c" }',
    "a list of messages with a colon": 'input: [ { name: "a" }, < name: "b" > ]',
    "negative": "input { dims: [ -1, -7, -0x10, -010 ] }",
    "hexadecimal and octal": "max_batch_size: 0x1F input { dims: [ 017, 0XaB, 0 ] }",
    "the largest": "input { dims: [ 9223372036854775807, -9223372036854775808 ] }",
    "unsigned": "dynamic_batching { max_queue_delay_microseconds: 18446744073709551615 }",
    "enum by name": "input { data_type: TYPE_FP32 format: FORMAT_NCHW }",
    "enum by number": "input { data_type: 11 format: 2 }",
    "booleans": "response_cache { enable: true } optimization { eager_batching: t input_pinned_memory { enable: 1 } "
    "output_pinned_memory { enable: False } }",
    "more booleans": "response_cache { enable: True } optimization { eager_batching: f input_pinned_memory { enable: 0 } }",
    "reals": "sequence_batching { direct { minimum_slot_utilization: 1.5e-3 } }",
    "reals that are whole": "sequence_batching { direct { minimum_slot_utilization: 2 } }",
    "reals with f": "sequence_batching { direct { minimum_slot_utilization: 0.25f } }",
    "reals with F": "sequence_batching { direct { minimum_slot_utilization: 3F } }",
    "reals without a digit in front": "sequence_batching { direct { minimum_slot_utilization: .5 } }",
    "reals without a digit behind": "sequence_batching { direct { minimum_slot_utilization: 5. } }",
    "reals, negative": "sequence_batching { control_input { control { fp32_false_true: [ -1.5, 1E2 ] } } }",
    "doubles": "model_metrics { metric_control { histogram_options { buckets: [ 0.1, 1e300, 123456789.123456789 ] } } }",
    "maps": 'parameters { key: "a" value { string_value: "1" } } parameters { key: "b" value: { string_value: "2" } }',
    "maps, value first": 'parameters { value { string_value: "1" } key: "a" }',
    "maps without a value": 'parameters { key: "a" } metric_tags { key: "t" }',
    "maps in a list": 'metric_tags [ { key: "a" value: "1" }, { key: "b" value: "2" } ]',
    "maps with numbers": "dynamic_batching { priority_queue_policy { key: 7 value { max_queue_size: 3 } } "
    "priority_queue_policy { key: 0x10 value { timeout_action: DELAY } } }",
    "oneof": "version_policy { specific { versions: [ 1, 3 ] } }",
    "oneof, empty": "version_policy: { all {} }",
    "defaults that are said": 'name: "" max_batch_size: 0 response_cache { enable: false }',
    "an ensemble": 'ensemble_scheduling { step [ { model_name: "a" model_version: -1 input_map { key: "X" value: "Y" } } ] }',
    "line ends": 'name: "a"\r\nmax_batch_size: 4\r\n',
    "tabs": '\tname\t:\t"a"\t',
    "no space": 'name:"a"max_batch_size:4 input{dims:[1,2]}',
}

# What both refuse.
WRONG = {
    "an unknown field": 'nane: "a"',
    "an unknown field in a message": "input { nane: 3 }",
    "an unknown enum": "input { data_type: TYPE_FP31 }",
    "a number for a string": "name: 3",
    "a string for a number": 'max_batch_size: "3"',
    "a real for a number": "max_batch_size: 3.0",
    "too large": "max_batch_size: 2147483648",
    "too small": "dynamic_batching { max_queue_delay_microseconds: -1 }",
    "not octal": "max_batch_size: 09",
    "twice": "max_batch_size: 1 max_batch_size: 1",
    "two of a oneof": "version_policy { all {} latest { num_versions: 1 } }",
    "an open message": "input { dims: 1",
    "an open list": "input { dims: [ 1, 2",
    "an open string": 'name: "a',
    "a string over two lines": 'name: "a\nb"',
    "the wrong bracket": "input { dims: 1 >",
    "one bracket too many": "input { } }",
    "no colon": "max_batch_size 3",
    "no value": "max_batch_size:",
    "a comma too many": "input { dims: [ 1, 2, ] }",
    "two commas": 'name: "a",, backend: "b"',
    "bytes that are no utf-8": r'name: "\xff"',
    "a surrogate": r'name: "\ud800"',
    "a list for one value": "max_batch_size: [ 1, 2 ]",
    "a scalar for a message": "input: 3",
    "a boolean by another word": "response_cache { enable: yes }",
    "a boolean by another number": "response_cache { enable: 2 }",
    "an enum by another number": 'input { data_type: "TYPE_FP32" }',
    "nothing": "name: null",
    "nothing for a message": "version_policy { all: null }",
    "a text for a message": 'parameters { key: "a" value: "1" }',
    "a number as a text's key": 'metric_tags { key: 1 value: "1" }',
    "a text as a number's key": 'dynamic_batching { priority_queue_policy { key: "1" } }',
    "a plain text": "hello",
    "json": '"name": "a"',
}


def convert(path, form):
    return subprocess.run(
        [TERN, "check", str(path), "--convert", form], capture_output=True, text=True, encoding="utf-8"
    )


def read_back(form, text):
    """By protobuf's readers, as a message."""
    if form == "json":
        return json_format.ParseDict(json.loads(text), ModelConfig())
    return text_format.Parse(text, ModelConfig())


def check_same(tmp_path, text, meaning):
    path = tmp_path / "config.pbtxt"
    path.write_text(text, encoding="utf-8", newline="")
    for form in ("json", "pbtxt"):
        said = convert(path, form)
        assert said.returncode == 0, said.stderr
        assert read_back(form, said.stdout) == meaning, said.stdout
    # pbtxt -> json -> yaml -> pbtxt is the same again.
    for form in ("json", "yaml", "pbtxt"):
        said = convert(path, form)
        assert said.returncode == 0, said.stderr
        path = tmp_path / f"again.{form}"
        path.write_text(said.stdout, encoding="utf-8")
    assert read_back("pbtxt", said.stdout) == meaning, said.stdout


@pytest.mark.parametrize("text", SAME.values(), ids=SAME.keys())
def test_the_same_meaning(tmp_path, text):
    check_same(tmp_path, text, text_format.Parse(text, ModelConfig()))


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG.keys())
def test_what_both_refuse(tmp_path, text):
    with pytest.raises(text_format.ParseError):
        text_format.Parse(text, ModelConfig())
    path = tmp_path / "config.pbtxt"
    path.write_text(text, encoding="utf-8")
    said = convert(path, "json")
    assert said.returncode == 1 and str(path) in said.stderr and said.stdout == ""


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("models/*/config.pbtxt")), ids=lambda p: p.parent.name)
def test_our_examples(tmp_path, path):
    text = path.read_text(encoding="utf-8")
    check_same(tmp_path, text, text_format.Parse(text, ModelConfig()))


SCALARS = {
    Field.CPPTYPE_BOOL: True,
    Field.CPPTYPE_FLOAT: 0.5,
    Field.CPPTYPE_DOUBLE: 0.1,
    Field.CPPTYPE_INT32: -3,
    Field.CPPTYPE_INT64: -(1 << 40),
    Field.CPPTYPE_UINT32: 1 << 31,
    Field.CPPTYPE_UINT64: 1 << 63,
    Field.CPPTYPE_STRING: 'a "quoted" ä\n\t\\ text: {}',
}


def fill(message, choice):
    """Every field, two of each that repeats; of a oneof the member that the choice says."""
    for field in message.DESCRIPTOR.fields:
        oneof = field.containing_oneof
        if oneof is not None and oneof.fields[choice % len(oneof.fields)] != field:
            continue
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        if is_map:
            numbers = field.message_type.fields_by_name["key"].cpp_type != Field.CPPTYPE_STRING
            value = field.message_type.fields_by_name["value"]
            for key in (1, 1 << 60) if numbers else ("k", "other: 'key'"):
                if value.message_type is not None:
                    fill(getattr(message, field.name)[key], choice)
                else:
                    getattr(message, field.name)[key] = SCALARS[value.cpp_type]
        elif field.message_type is not None and field.is_repeated:
            for _ in range(2):
                fill(getattr(message, field.name).add(), choice)
        elif field.message_type is not None:
            getattr(message, field.name).SetInParent()
            fill(getattr(message, field.name), choice)
        else:
            value = SCALARS.get(field.cpp_type)
            if field.cpp_type == Field.CPPTYPE_ENUM:
                value = field.enum_type.values[-1].number
            if field.is_repeated:
                getattr(message, field.name).extend([value, value])
            else:
                setattr(message, field.name, value)
    return message


@pytest.mark.parametrize("choice", range(6))
def test_every_field(tmp_path, choice):
    """The client's own message, by reflection: a field that our table lacks is a mistake here."""
    message = fill(ModelConfig(), choice)
    check_same(tmp_path, text_format.MessageToString(message, as_utf8=True), message)
    check_same(tmp_path, text_format.MessageToString(message, as_utf8=False, as_one_line=True), message)


def test_triton_prints_like_protobuf(tmp_path):
    """JSON with 64-bit integers as texts, as protobuf writes it, is read too."""
    message = fill(ModelConfig(), 0)
    path = tmp_path / "config.json"
    path.write_text(json_format.MessageToJson(message, preserving_proto_field_name=True), encoding="utf-8")
    said = convert(path, "pbtxt")
    assert said.returncode == 0, said.stderr
    assert read_back("pbtxt", said.stdout) == message
