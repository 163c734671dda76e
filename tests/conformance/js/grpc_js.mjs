// gRPC's other implementation for servers' sake: pure JavaScript, over Node's HTTP/2.
//   node grpc_js.mjs API PLAIN TLS CERT
import assert from "node:assert/strict";
import fs from "node:fs";

import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

import { check, failure, Inbox, runAll } from "./checks.mjs";

const [api, plain, tls, cert] = process.argv.slice(2);
const files = ["grpc_service.proto", "grpc/health/v1/health.proto", "grpc/reflection/v1/reflection.proto"];
const loaded = grpc.loadPackageDefinition(
  loader.loadSync(files, { includeDirs: [api], keepCase: true, longs: Number, enums: String, oneofs: true, defaults: true })
);
const insecure = grpc.credentials.createInsecure();
const { OK, CANCELLED, DEADLINE_EXCEEDED, INVALID_ARGUMENT, NOT_FOUND, RESOURCE_EXHAUSTED, UNIMPLEMENTED } = grpc.status;

const channels = [];
function connect(Service, options = {}, address = plain, credentials = insecure) {
  const one = new Service(address, credentials, { "grpc.use_local_subchannel_pool": 1, ...options });
  channels.push(one);
  return one;
}
const inference = (...options) => connect(loaded.inference.GRPCInferenceService, ...options);

const shared = inference();
const soon = () => ({ deadline: Date.now() + 20_000 });

/** A unary call: the answer, with what came around it. */
function unary(client, method, request, metadata = new grpc.Metadata(), options = soon()) {
  return new Promise((resolve, reject) => {
    let head, status;
    let answer;
    const call = client[method](request, metadata, options, (error, value) => {
      if (error) reject(error);
      else answer = value;
    });
    call.on("metadata", (value) => (head = value));
    call.on("status", (value) => {
      status = value;
      if (status.code === OK) resolve({ answer, head, status });
    });
  });
}

function floats(values) {
  return Buffer.from(new Float32Array(values).buffer);
}

function readFloats(bytes) {
  return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
}

function identity(values, model = "identity_fp32") {
  return {
    model_name: model,
    id: "7",
    inputs: [{ name: "INPUT0", datatype: "FP32", shape: [1, values.length] }],
    raw_input_contents: [floats(values)],
  };
}

function typed(model, id, tensors) {
  const inputs = Object.entries(tensors).map(([name, [datatype, field, values]]) => ({
    name,
    datatype,
    shape: [values.length],
    contents: { [field]: values },
  }));
  return { model_name: model, id, inputs };
}

const square = (n, id = "") => typed("square_int32", id, { IN: ["INT32", "int_contents", [n]] });
const repeat = (values, delays, id = "") =>
  typed("repeat_int32", id, {
    IN: ["INT32", "int_contents", values],
    DELAY: ["UINT32", "uint_contents", delays],
    WAIT: ["UINT32", "uint_contents", [0]],
  });

/** A stream whose answers, and at last whose status, are taken one by one. */
function stream(client = shared, metadata = new grpc.Metadata(), options = soon()) {
  const call = client.ModelStreamInfer(metadata, options);
  const inbox = new Inbox();
  call.on("data", (value) => inbox.put(value));
  call.on("error", () => {});
  call.on("status", (status) => inbox.put(status));
  return { call, take: () => inbox.take() };
}

const number = (answer) => answer.infer_response.raw_output_contents[0].readInt32LE(0);

check("unary calls", async () => {
  assert.equal((await unary(shared, "ServerLive", {})).answer.live, true);
  assert.equal((await unary(shared, "ServerMetadata", {})).answer.name, "tern");
  const { answer } = await unary(shared, "ModelMetadata", { name: "iris" });
  assert.deepEqual(answer.inputs, [{ name: "features", datatype: "FP32", shape: [-1, 4] }]);
  const raw = (await unary(shared, "ModelInfer", identity([1.5, -2, 3]))).answer;
  assert.equal(raw.id, "7");
  assert.deepEqual(readFloats(raw.raw_output_contents[0]), [1.5, -2, 3]);
  const request = { ...identity([1]), raw_input_contents: [] };
  request.inputs[0].contents = { fp32_contents: [0.25] };
  assert.deepEqual(readFloats((await unary(shared, "ModelInfer", request)).answer.raw_output_contents[0]), [0.25]);
});

check("statuses of errors", async () => {
  const unknown = await failure(unary(shared, "ModelInfer", identity([1], "nope")));
  assert.equal(unknown.code, NOT_FOUND);
  assert.match(unknown.details, /unknown model: 'nope'/);
  assert.ok(unknown.metadata.get("grpc-status-details-bin")[0].length > 4);
  const short = { ...identity([1, 2]), raw_input_contents: [floats([1])] };
  const bad = await failure(unary(shared, "ModelInfer", short));
  assert.equal(bad.code, INVALID_ARGUMENT);
  assert.match(bad.details, /Expected 8, got 4/);
  const decoupled = await failure(unary(shared, "ModelInfer", square(1)));
  assert.equal(decoupled.code, UNIMPLEMENTED);
  const path = "/inference.GRPCInferenceService/Nothing";
  const none = await failure(
    new Promise((resolve, reject) =>
      shared.makeUnaryRequest(path, (x) => x, (x) => x, Buffer.alloc(0), (error, value) => (error ? reject(error) : resolve(value)))
    )
  );
  assert.equal(none.code, UNIMPLEMENTED);
});

check("names in any script", async () => {
  const error = await failure(unary(shared, "ModelInfer", identity([1], "Zürich 東京 100%")));
  assert.equal(error.code, NOT_FOUND);
  assert.match(error.details, /Zürich 東京 100%/);
});

check("a deadline passes", async () => {
  const late = await failure(unary(shared, "ModelInfer", identity([1], "slow"), undefined, { deadline: Date.now() + 200 }));
  assert.equal(late.code, DEADLINE_EXCEEDED);
  assert.equal((await unary(shared, "ServerLive", {})).answer.live, true);
});

check("cancelled before, while and after it runs", async () => {
  for (const wait of [0, 1, 50]) {
    const error = await failure(
      new Promise((resolve, reject) => {
        const call = shared.ModelInfer(identity([1], "slow"), soon(), (error, value) => (error ? reject(error) : resolve(value)));
        if (wait === 0) call.cancel();
        else setTimeout(() => call.cancel(), wait);
      })
    );
    assert.equal(error.code, CANCELLED);
  }
  await new Promise((resolve, reject) => {
    const call = shared.ModelInfer(identity([1]), soon(), (error) => {
      call.cancel();
      if (error) reject(error);
      else resolve();
    });
  });
  assert.equal((await unary(shared, "ServerLive", {})).answer.live, true);
});

check("metadata", async () => {
  const metadata = new grpc.Metadata();
  metadata.set("x-note", "some text");
  metadata.set("x-bytes-bin", Buffer.from([0, 255, 10, 13, 0]));
  metadata.add("x-note", "twice");
  const { head, status } = await unary(shared, "ModelInfer", identity([1]), metadata);
  assert.equal(status.code, OK);
  assert.ok(head instanceof grpc.Metadata);
  const large = new grpc.Metadata();
  large.set("x-large", "v".repeat(7000));
  assert.equal((await unary(shared, "ServerLive", {}, large)).answer.live, true);
  const huge = new grpc.Metadata();
  huge.set("x-huge", "v".repeat(60_000));
  const refused = await failure(unary(shared, "ServerLive", {}, huge));
  assert.notEqual(refused.code, OK);
  assert.equal((await unary(shared, "ServerLive", {})).answer.live, true);
});

check("requests and answers of one stream in turns", async () => {
  const { call, take } = stream();
  for (let i = 1; i <= 20; i++) {
    call.write(square(2, String(i)));
    for (const _ of [1, 2]) {
      const answer = await take();
      assert.equal(answer.infer_response.id, String(i));
      assert.equal(number(answer), 2);
    }
    call.write(identity([i]));
    assert.deepEqual(readFloats((await take()).infer_response.raw_output_contents[0]), [i]);
  }
  call.end();
  assert.equal((await take()).code, OK);
});

check("streams beside unary calls", async () => {
  const { call, take } = stream();
  call.write(repeat([1, 2, 3, 4], [0, 5, 5, 5]));
  const answers = [];
  for (let i = 0; i < 4; i++) {
    answers.push(number(await take()));
    await Promise.all([1, 2, 3].map((n) => unary(shared, "ModelInfer", identity([n]))));
  }
  assert.deepEqual(answers, [1, 2, 3, 4]);
  call.end();
  assert.equal((await take()).code, OK);
});

check("errors in a stream", async () => {
  const { call, take } = stream();
  call.write(identity([1], "nope"));
  assert.match((await take()).error_message, /unknown model: 'nope'/);
  call.write(square(1));
  assert.equal(number(await take()), 1);
  call.end();
  assert.equal((await take()).code, OK);
  const metadata = new grpc.Metadata();
  metadata.set("triton_grpc_error", "true");
  const strict = stream(shared, metadata);
  strict.call.write(identity([1], "nope"));
  assert.equal((await strict.take()).code, NOT_FOUND);
});

check("a stream is cancelled, and one ends at its deadline", async () => {
  const one = stream();
  one.call.write(repeat([1, 2], [0, 10_000_000]));
  assert.equal(number(await one.take()), 1);
  one.call.cancel();
  assert.equal((await one.take()).code, CANCELLED);
  const other = stream(shared, undefined, { deadline: Date.now() + 300 });
  other.call.write(repeat([1, 2], [0, 10_000_000]));
  assert.equal(number(await other.take()), 1);
  assert.equal((await other.take()).code, DEADLINE_EXCEEDED);
});

check("a thousand answers to a reader that pauses", async () => {
  const call = shared.ModelStreamInfer(soon());
  call.write(square(1000));
  call.end();
  let got = 0;
  for await (const answer of call) {
    assert.equal(number(answer), 1000);
    if (++got % 250 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.equal(got, 1000);
});

check("health", async () => {
  const health = connect(loaded.grpc.health.v1.Health);
  assert.equal((await unary(health, "Check", {})).answer.status, "SERVING");
  assert.equal((await failure(unary(health, "Check", { service: "nope" }))).code, NOT_FOUND);
  const call = health.Watch({ service: "iris" }, soon());
  const inbox = new Inbox();
  call.on("data", (value) => inbox.put(value.status));
  call.on("error", () => {});
  call.on("status", (status) => inbox.put(status.code));
  assert.equal(await inbox.take(), "SERVING");
  call.cancel();
  assert.equal(await inbox.take(), CANCELLED);
});

check("reflection", async () => {
  const call = connect(loaded.grpc.reflection.v1.ServerReflection).ServerReflectionInfo(soon());
  const inbox = new Inbox();
  call.on("data", (value) => inbox.put(value));
  call.on("error", (error) => inbox.put(error));
  call.write({ list_services: "" });
  const names = (await inbox.take()).list_services_response.service.map((one) => one.name);
  assert.ok(names.includes("inference.GRPCInferenceService"));
  call.write({ file_containing_symbol: names[0] });
  assert.ok((await inbox.take()).file_descriptor_response.file_descriptor_proto.length > 0);
  call.end();
});

check("compression", async () => {
  const values = Array.from({ length: 20_000 }, (_, i) => i % 100);
  for (const algorithm of [1, 2]) {
    const client = inference({ "grpc.default_compression_algorithm": algorithm });
    const { answer } = await unary(client, "ModelInfer", identity(values));
    assert.deepEqual(readFloats(answer.raw_output_contents[0]), values);
    const { call, take } = stream(client);
    call.write(square(1));
    assert.equal(number(await take()), 1);
    call.end();
    assert.equal((await take()).code, OK);
  }
});

check("sizes of messages", async () => {
  const client = inference({ "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 });
  const values = Array.from({ length: 1 << 20 }, (_, i) => i);
  const { answer } = await unary(client, "ModelInfer", identity(values));
  assert.deepEqual(answer.raw_output_contents[0], floats(values));
  const much = await failure(unary(client, "ModelInfer", identity(new Array(3 << 20).fill(0))));
  assert.equal(much.code, RESOURCE_EXHAUSTED);
  assert.match(much.details, /8388608/);
  const small = inference({ "grpc.max_receive_message_length": 1000 });
  assert.equal((await failure(unary(small, "ModelInfer", identity(new Array(1000).fill(0))))).code, RESOURCE_EXHAUSTED);
  assert.equal((await unary(small, "ServerLive", {})).answer.live, true);
});

check("more calls than the server takes at a time", async () => {
  const calls = Array.from({ length: 300 }, (_, i) => unary(shared, "ModelInfer", identity([i])));
  const answers = await Promise.all(calls);
  assert.deepEqual(answers.map(({ answer }) => readFloats(answer.raw_output_contents[0])[0]), answers.map((_, i) => i));
});

check("keepalive", async () => {
  const options = { "grpc.keepalive_time_ms": 20, "grpc.keepalive_timeout_ms": 5000, "grpc.keepalive_permit_without_calls": 1 };
  const client = inference(options);
  assert.equal((await unary(client, "ServerLive", {})).answer.live, true);
  const state = () => client.getChannel().getConnectivityState(false);
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(state(), grpc.connectivityState.READY);
  const { call, take } = stream(client);
  call.write(repeat([1, 2], [0, 200]));
  assert.deepEqual([number(await take()), number(await take())], [1, 2]);
  call.end();
  assert.equal((await take()).code, OK);
  assert.equal(state(), grpc.connectivityState.READY);
});

check("TLS", async () => {
  const client = inference({}, tls, grpc.credentials.createSsl(fs.readFileSync(cert)));
  const { answer } = await unary(client, "ModelInfer", identity([1, 2]));
  assert.deepEqual(readFloats(answer.raw_output_contents[0]), [1, 2]);
  const { call, take } = stream(client);
  call.write(square(1));
  assert.equal(number(await take()), 1);
  call.end();
  assert.equal((await take()).code, OK);
});

await runAll();
