// Command conformance: grpc-go against a server, with messages made from its own descriptors, as the
// reflection service answers them.
//
//	conformance PLAIN TLS CERT
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	reflection "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

const (
	service = "/inference.GRPCInferenceService/"
	limit   = 30 * time.Second
)

var checks []struct {
	name string
	run  func(*client) error
}

func check(name string, run func(*client) error) {
	checks = append(checks, struct {
		name string
		run  func(*client) error
	}{name, run})
}

type client struct {
	plain, tls, cert string
	conn             *grpc.ClientConn
	api              protoreflect.FileDescriptor
}

func dial(address string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	options = append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, options...)
	return grpc.NewClient("passthrough:///"+address, options...)
}

// learn asks the server for the file that defines the service, and for those that it imports.
func (c *client) learn() error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	stream, err := reflection.NewServerReflectionClient(c.conn).ServerReflectionInfo(ctx)
	if err != nil {
		return err
	}
	symbol := &reflection.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "inference.GRPCInferenceService"}
	if err := stream.Send(&reflection.ServerReflectionRequest{MessageRequest: symbol}); err != nil {
		return err
	}
	answer, err := stream.Recv()
	if err != nil {
		return err
	}
	set := &descriptorpb.FileDescriptorSet{}
	for _, raw := range answer.GetFileDescriptorResponse().GetFileDescriptorProto() {
		file := &descriptorpb.FileDescriptorProto{}
		if err := proto.Unmarshal(raw, file); err != nil {
			return err
		}
		set.File = append(set.File, file)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		return err
	}
	found, err := files.FindDescriptorByName("inference.GRPCInferenceService")
	if err != nil {
		return err
	}
	c.api = found.ParentFile()
	return stream.CloseSend()
}

// message makes one of the service's, from its text form.
func (c *client) message(name, text string) *dynamicpb.Message {
	one := dynamicpb.NewMessage(c.api.Messages().ByName(protoreflect.Name(name)))
	if err := prototext.Unmarshal([]byte(text), one); err != nil {
		panic(err)
	}
	return one
}

func get(m protoreflect.Message, path ...string) protoreflect.Value {
	value := protoreflect.ValueOfMessage(m)
	for _, name := range path {
		message := value.Message()
		value = message.Get(message.Descriptor().Fields().ByName(protoreflect.Name(name)))
	}
	return value
}

func identity(model string, values ...float32) string {
	return fmt.Sprintf(`model_name: %q id: "7" inputs { name: "INPUT0" datatype: "FP32" shape: [1, %d] contents { fp32_contents: [%s] } }`,
		model, len(values), strings.Trim(strings.Join(strings.Fields(fmt.Sprint(values)), ","), "[]"))
}

func square(n int) string {
	return fmt.Sprintf(`model_name: "square_int32" inputs { name: "IN" datatype: "INT32" shape: 1 contents { int_contents: %d } }`, n)
}

func (c *client) call(ctx context.Context, conn *grpc.ClientConn, method, request string, options ...grpc.CallOption) (*dynamicpb.Message, error) {
	answer := dynamicpb.NewMessage(c.api.Messages().ByName(protoreflect.Name(method + "Response")))
	err := conn.Invoke(ctx, service+method, c.message(method+"Request", request), answer, options...)
	return answer, err
}

func floats(answer *dynamicpb.Message) []float32 {
	raw := get(answer, "raw_output_contents").List().Get(0).Bytes()
	found := make([]float32, len(raw)/4)
	for i := range found {
		found[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return found
}

func (c *client) infers(ctx context.Context, conn *grpc.ClientConn, options ...grpc.CallOption) error {
	answer, err := c.call(ctx, conn, "ModelInfer", identity("identity_fp32", 1.5, -2), options...)
	if err != nil {
		return err
	}
	if got := floats(answer); len(got) != 2 || got[0] != 1.5 || got[1] != -2 {
		return fmt.Errorf("got %v", got)
	}
	return nil
}

func wants(err error, code codes.Code, text string) error {
	if status.Code(err) != code || !strings.Contains(status.Convert(err).Message(), text) {
		return fmt.Errorf("expected %v with %q, got: %v", code, text, err)
	}
	return nil
}

func (c *client) stream(ctx context.Context, conn *grpc.ClientConn, options ...grpc.CallOption) (grpc.ClientStream, error) {
	kind := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	return conn.NewStream(ctx, kind, service+"ModelStreamInfer", options...)
}

func (c *client) receive(stream grpc.ClientStream) (*dynamicpb.Message, error) {
	answer := dynamicpb.NewMessage(c.api.Messages().ByName("ModelStreamInferResponse"))
	err := stream.RecvMsg(answer)
	return answer, err
}

// squares asks for n answers and takes them.
func (c *client) squares(stream grpc.ClientStream, n int) error {
	if err := stream.SendMsg(c.message("ModelInferRequest", square(n))); err != nil {
		return err
	}
	for i := 0; i < n; i++ {
		answer, err := c.receive(stream)
		if err != nil {
			return err
		}
		raw := get(answer, "infer_response", "raw_output_contents").List().Get(0).Bytes()
		if !bytes.Equal(raw, binary.LittleEndian.AppendUint32(nil, uint32(n))) {
			return fmt.Errorf("answer %d is %v", i, raw)
		}
	}
	return nil
}

func within(timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), timeout)
}

func init() {
	check("unary calls", func(c *client) error {
		ctx, cancel := within(limit)
		defer cancel()
		answer, err := c.call(ctx, c.conn, "ServerMetadata", "")
		if err != nil {
			return err
		}
		if name := get(answer, "name").String(); name != "tern" {
			return fmt.Errorf("the server is %q", name)
		}
		var head, trailer metadata.MD
		note := metadata.AppendToOutgoingContext(ctx, "x-note", "text", "x-bytes-bin", "\x00\xff\n")
		if err := c.infers(note, c.conn, grpc.Header(&head), grpc.Trailer(&trailer)); err != nil {
			return err
		}
		if head.Get("content-type")[0] != "application/grpc" {
			return fmt.Errorf("head %v", head)
		}
		return nil
	})

	check("statuses of errors", func(c *client) error {
		ctx, cancel := within(limit)
		defer cancel()
		_, err := c.call(ctx, c.conn, "ModelInfer", identity("nicht da: ü", 1))
		if err := wants(err, codes.NotFound, "unknown model: 'nicht da: ü'"); err != nil {
			return err
		}
		if status.Convert(err).Code() != codes.NotFound || len(status.Convert(err).Proto().GetMessage()) == 0 {
			return fmt.Errorf("details: %v", err)
		}
		_, err = c.call(ctx, c.conn, "ModelInfer", square(1))
		if err := wants(err, codes.Unimplemented, "decoupled"); err != nil {
			return err
		}
		err = c.conn.Invoke(ctx, service+"Nothing", c.message("ServerLiveRequest", ""), c.message("ServerLiveResponse", ""))
		return wants(err, codes.Unimplemented, "")
	})

	check("deadlines and cancellation", func(c *client) error {
		ctx, cancel := within(200 * time.Millisecond)
		defer cancel()
		_, err := c.call(ctx, c.conn, "ModelInfer", identity("slow", 1))
		if err := wants(err, codes.DeadlineExceeded, ""); err != nil {
			return err
		}
		ctx, cancel = within(limit)
		time.AfterFunc(50*time.Millisecond, cancel)
		_, err = c.call(ctx, c.conn, "ModelInfer", identity("slow", 1))
		if err := wants(err, codes.Canceled, ""); err != nil {
			return err
		}
		ctx, cancel = within(limit)
		defer cancel()
		return c.infers(ctx, c.conn)
	})

	check("streams", func(c *client) error {
		ctx, cancel := within(limit)
		defer cancel()
		stream, err := c.stream(ctx, c.conn)
		if err != nil {
			return err
		}
		for n := 1; n <= 20; n++ {
			if err := c.squares(stream, n); err != nil {
				return err
			}
		}
		if err := stream.SendMsg(c.message("ModelInferRequest", identity("nope", 1))); err != nil {
			return err
		}
		answer, err := c.receive(stream)
		if err != nil || !strings.Contains(get(answer, "error_message").String(), "unknown model: 'nope'") {
			return fmt.Errorf("answer %v, error %v", answer, err)
		}
		if err := stream.CloseSend(); err != nil {
			return err
		}
		if _, err := c.receive(stream); err != io.EOF {
			return fmt.Errorf("expected the end, got %v", err)
		}
		return nil
	})

	check("health", func(c *client) error {
		ctx, cancel := within(limit)
		defer cancel()
		one := health.NewHealthClient(c.conn)
		_, err := one.Check(ctx, &health.HealthCheckRequest{Service: "nope"})
		if err := wants(err, codes.NotFound, ""); err != nil {
			return err
		}
		watch, err := one.Watch(ctx, &health.HealthCheckRequest{Service: "iris"})
		if err != nil {
			return err
		}
		answer, err := watch.Recv()
		if err != nil || answer.GetStatus() != health.HealthCheckResponse_SERVING {
			return fmt.Errorf("answer %v, error %v", answer, err)
		}
		cancel()
		_, err = watch.Recv()
		return wants(err, codes.Canceled, "")
	})

	check("compression", func(c *client) error {
		ctx, cancel := within(limit)
		defer cancel()
		if err := c.infers(ctx, c.conn, grpc.UseCompressor(gzip.Name)); err != nil {
			return err
		}
		stream, err := c.stream(ctx, c.conn, grpc.UseCompressor(gzip.Name))
		if err != nil {
			return err
		}
		return c.squares(stream, 3)
	})

	check("sizes of messages", func(c *client) error {
		ctx, cancel := within(limit)
		defer cancel()
		request := c.message("ModelInferRequest", `model_name: "identity_fp32" inputs { name: "INPUT0" datatype: "FP32" shape: [1, 1048576] }`)
		raw := request.Mutable(request.Descriptor().Fields().ByName("raw_input_contents")).List()
		raw.Append(protoreflect.ValueOfBytes(make([]byte, 4<<20)))
		answer := c.message("ModelInferResponse", "")
		err := c.conn.Invoke(ctx, service+"ModelInfer", request, answer)
		if err := wants(err, codes.ResourceExhausted, "received message larger"); err != nil {
			return err // its own limit
		}
		if err := c.conn.Invoke(ctx, service+"ModelInfer", request, answer, grpc.MaxCallRecvMsgSize(8<<20)); err != nil {
			return err
		}
		raw.Set(0, protoreflect.ValueOfBytes(make([]byte, 9<<20)))
		err = c.conn.Invoke(ctx, service+"ModelInfer", request, answer)
		return wants(err, codes.ResourceExhausted, "8388608")
	})

	check("many at once", func(c *client) error {
		ctx, cancel := within(limit)
		defer cancel()
		var group sync.WaitGroup
		failed := make(chan error, 500)
		for i := 0; i < 500; i++ {
			group.Add(1)
			go func() {
				defer group.Done()
				if err := c.infers(ctx, c.conn); err != nil {
					failed <- err
				}
			}()
		}
		group.Wait()
		close(failed)
		return <-failed
	})

	check("keepalive", func(c *client) error {
		// grpc-go pings every ten seconds at most; what shows in a test is that it may ask for it, and
		// that its measuring of bandwidth, a PING with every read, is no offence.
		conn, err := dial(c.plain, grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, PermitWithoutStream: true}))
		if err != nil {
			return err
		}
		defer conn.Close()
		ctx, cancel := within(limit)
		defer cancel()
		for i := 0; i < 300; i++ {
			if err := c.infers(ctx, conn); err != nil {
				return err
			}
		}
		return nil
	})

	check("TLS", func(c *client) error {
		trust, err := credentials.NewClientTLSFromFile(c.cert, "localhost")
		if err != nil {
			return err
		}
		conn, err := dial(c.tls, grpc.WithTransportCredentials(trust))
		if err != nil {
			return err
		}
		defer conn.Close()
		ctx, cancel := within(limit)
		defer cancel()
		if err := c.infers(ctx, conn); err != nil {
			return err
		}
		stream, err := c.stream(ctx, conn)
		if err != nil {
			return err
		}
		return c.squares(stream, 3)
	})
}

func main() {
	c := &client{plain: os.Args[1], tls: os.Args[2], cert: os.Args[3]}
	var err error
	if c.conn, err = dial(c.plain); err == nil {
		err = c.learn()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, one := range checks {
		line := map[string]any{"check": one.name, "error": nil}
		if err := one.run(c); err != nil {
			line["error"] = err.Error()
		}
		text, _ := json.Marshal(line)
		fmt.Printf("%s\n", text)
	}
}
