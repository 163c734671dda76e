// gRPC-Web as pages do it: Connect's client over fetch (HTTP/1.1) and over a fetch of our own on
// HTTP/2, and by hand where a client hides what it is given.
//   NODE_EXTRA_CA_CERTS=CERT node grpc_web.mjs DESCRIPTORS PLAIN TLS
import assert from "node:assert/strict";
import fs from "node:fs";
import http2 from "node:http2";
import { Readable } from "node:stream";

import { create, createFileRegistry, fromBinary, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { check, failure, runAll } from "./checks.mjs";

const [descriptors, plain, tls] = process.argv.slice(2);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, fs.readFileSync(descriptors)));
const inference = registry.getService("inference.GRPCInferenceService");
const health = registry.getService("grpc.health.v1.Health");
const page = "https://app.example";

/** fetch over one HTTP/2 connection. */
function fetchOver(session) {
  return async (url, { method = "GET", headers = {}, body, signal } = {}) => {
    const request = session.request({
      ":method": method,
      ":path": new URL(url).pathname,
      ...Object.fromEntries(new Headers(headers)),
    });
    const cancel = () => request.close(http2.constants.NGHTTP2_CANCEL);
    signal?.addEventListener("abort", cancel);
    request.end(body ?? undefined);
    const head = await new Promise((resolve, reject) => {
      request.on("response", resolve);
      request.on("error", reject);
      request.on("close", () => reject(signal?.reason ?? new Error("closed without an answer")));
    });
    const fields = Object.entries(head).filter(([name]) => !name.startsWith(":"));
    const content = head[":status"] === 204 ? null : Readable.toWeb(request);
    return new Response(content, { status: head[":status"], headers: fields });
  };
}

function session(url) {
  const one = http2.connect(url);
  one.on("error", () => {});
  return one;
}

const ways = {
  "HTTP/1.1": { url: `http://${plain}`, fetch },
  "HTTP/1.1 over TLS": { url: `https://${tls}`, fetch },
  "HTTP/2": { url: `http://${plain}`, fetch: fetchOver(session(`http://${plain}`)) },
  "HTTP/2 over TLS": { url: `https://${tls}`, fetch: fetchOver(session(`https://${tls}`)) },
};

function client(service, { url, fetch }, options = {}) {
  return createClient(service, createGrpcWebTransport({ baseUrl: url, fetch, useBinaryFormat: true, ...options }));
}

function identity(values, model = "identity_fp32") {
  return {
    modelName: model,
    inputs: [{ name: "INPUT0", datatype: "FP32", shape: [1n, BigInt(values.length)] }],
    rawInputContents: [new Uint8Array(new Float32Array(values).buffer)],
  };
}

const readFloats = (bytes) => Array.from(new Float32Array(Uint8Array.from(bytes).buffer));

async function each(run) {
  for (const [name, way] of Object.entries(ways)) {
    try {
      await run(way);
    } catch (error) {
      error.stack = `${name}: ${error.stack}`;
      throw error;
    }
  }
}

check("unary calls", () =>
  each(async (way) => {
    const one = client(inference, way);
    assert.equal((await one.serverLive({})).live, true);
    let head, trailer;
    const answer = await one.modelInfer(identity([1.5, -2]), {
      headers: { "x-note": "from a page" },
      onHeader: (value) => (head = value),
      onTrailer: (value) => (trailer = value),
    });
    assert.deepEqual(readFloats(answer.rawOutputContents[0]), [1.5, -2]);
    assert.equal(head.get("content-type"), "application/grpc-web+proto");
    assert.equal(trailer.get("grpc-status"), "0");
  })
);

check("errors", () =>
  each(async (way) => {
    const one = client(inference, way);
    const unknown = ConnectError.from(await failure(one.modelInfer(identity([1], "nicht da: ü"))));
    assert.equal(unknown.code, Code.NotFound);
    assert.match(unknown.rawMessage, /unknown model: 'nicht da: ü'/);
    const bad = identity([1, 2]);
    bad.rawInputContents[0] = bad.rawInputContents[0].slice(4);
    assert.equal((await failure(one.modelInfer(bad))).code, Code.InvalidArgument);
    const late = await failure(one.modelInfer(identity([1], "slow"), { timeoutMs: 200 }));
    assert.equal(late.code, Code.DeadlineExceeded);
    const stop = new AbortController();
    // With a deadline: over HTTP/1.1 a client that left is known when the answer does not reach it.
    const call = one.modelInfer(identity([1], "slow"), { signal: stop.signal, timeoutMs: 1000 });
    setTimeout(() => stop.abort(), 50);
    assert.equal((await failure(call)).code, Code.Canceled);
    assert.equal((await one.serverLive({})).live, true);
  })
);

check("streams of the server", () =>
  each(async (way) => {
    const stop = new AbortController();
    const error = await failure(
      (async () => {
        for await (const answer of client(health, way).watch({ service: "iris" }, { signal: stop.signal })) {
          assert.equal(answer.status, 1);
          stop.abort();
        }
      })()
    );
    assert.equal(ConnectError.from(error).code, Code.Canceled);
    // A request that ends at once is a stream of one: every answer to it, then the status.
    const request = create(registry.getMessage("inference.ModelInferRequest"), {
      modelName: "square_int32",
      inputs: [{ name: "IN", datatype: "INT32", shape: [1n], contents: { intContents: [3] } }],
    });
    const parts = frames(await call(way, "ModelStreamInfer", toBinary(registry.getMessage("inference.ModelInferRequest"), request)));
    assert.deepEqual(parts.map(({ flag }) => flag), [0, 0, 0, 0x80]);
    const answer = fromBinary(registry.getMessage("inference.ModelStreamInferResponse"), parts[2].data);
    assert.equal(new DataView(Uint8Array.from(answer.inferResponse.rawOutputContents[0]).buffer).getInt32(0, true), 3);
    assert.match(new TextDecoder().decode(parts[3].data), /^grpc-status: ?0\r\n/m);
  })
);

async function call({ url, fetch }, method, message, headers = {}, encode = (bytes) => bytes) {
  const body = new Uint8Array(5 + message.length);
  new DataView(body.buffer).setUint32(1, message.length);
  body.set(message, 5);
  const answer = await fetch(`${url}/inference.GRPCInferenceService/${method}`, {
    method: "POST",
    headers: { "content-type": "application/grpc-web+proto", "x-grpc-web": "1", ...headers },
    body: encode(body),
  });
  assert.equal(answer.status, 200);
  answer.bytes_ = Buffer.from(await answer.arrayBuffer());
  return answer;
}

function frames({ bytes_: bytes }) {
  const found = [];
  for (let at = 0; at < bytes.length; ) {
    const n = bytes.readUInt32BE(at + 1);
    found.push({ flag: bytes[at], data: bytes.subarray(at + 5, at + 5 + n) });
    at += 5 + n;
    assert.ok(at <= bytes.length, "a frame is cut off");
  }
  return found;
}

check("text", () =>
  each(async (way) => {
    const kind = { "content-type": "application/grpc-web-text", accept: "application/grpc-web-text" };
    const encode = (bytes) => Buffer.from(bytes).toString("base64");
    for (const [method, status] of [["ServerLive", "0"], ["ModelMetadata", "5"]]) {
      const answer = await call(way, method, new Uint8Array(0), kind, encode);
      assert.match(answer.headers.get("content-type"), /^application\/grpc-web-text/);
      const text = answer.bytes_.toString();
      const pieces = text.match(/[^=]+=*/g) ?? [];
      answer.bytes_ = Buffer.concat(pieces.map((piece) => Buffer.from(piece, "base64")));
      const last = frames(answer).at(-1);
      const said = answer.headers.get("grpc-status") ?? /grpc-status: ?(\d+)/.exec(last.data.toString())[1];
      assert.equal(said, status);
    }
  })
);

check("pages of other origins", () =>
  each(async ({ url, fetch }) => {
    const path = `${url}/inference.GRPCInferenceService/ModelInfer`;
    const asked = { "access-control-request-method": "POST", "access-control-request-headers": "content-type,x-grpc-web,x-user-agent,grpc-timeout" };
    const answer = await fetch(path, { method: "OPTIONS", headers: { origin: page, ...asked } });
    await answer.arrayBuffer().catch(() => {});
    assert.equal(answer.status, 204);
    assert.equal(answer.headers.get("access-control-allow-origin"), page);
    assert.match(answer.headers.get("access-control-allow-methods"), /POST/);
    for (const name of asked["access-control-request-headers"].split(","))
      assert.ok(answer.headers.get("access-control-allow-headers").includes(name), name);
    const real = await call({ url, fetch }, "ServerLive", new Uint8Array(0), { origin: page });
    assert.equal(real.headers.get("access-control-allow-origin"), page);
    for (const name of ["grpc-status", "grpc-message"])
      assert.ok(real.headers.get("access-control-expose-headers").includes(name), name);
    const other = await fetch(path, { method: "OPTIONS", headers: { origin: "https://evil.example", ...asked } });
    await other.arrayBuffer().catch(() => {});
    assert.equal(other.headers.get("access-control-allow-origin"), null);
  })
);

await runAll();
