// The anchor for gRPC: grpc-core's C++ asynchronous server with the same service, as its examples
// are written: one completion queue and one thread for each loop. ServerLive answers true;
// ModelInfer answers its input as its output, or, when that is large, the number of its elements.
//
// Usage: grpc_core_echo ADDRESS LOOPS.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "grpc_service.grpc.pb.h"

using inference::GRPCInferenceService;
using inference::ModelInferRequest;
using inference::ModelInferResponse;
using inference::ServerLiveRequest;
using inference::ServerLiveResponse;

namespace {

constexpr size_t kLarge = 4096;

class Call {
public:
    virtual ~Call() = default;
    virtual void Proceed(bool ok) = 0;
};

// One call of a method from being awaited to being answered; then the next takes its place.
template <typename Request, typename Response> class Unary : public Call {
public:
    using Service = GRPCInferenceService::AsyncService;
    using Ask = void (Service::*)(grpc::ServerContext *, Request *,
                                  grpc::ServerAsyncResponseWriter<Response> *,
                                  grpc::CompletionQueue *, grpc::ServerCompletionQueue *, void *);
    using Answer = void (*)(const Request &, Response *);

    Unary(Service *service, grpc::ServerCompletionQueue *queue, Ask ask, Answer answer)
        : service_(service), queue_(queue), ask_(ask), answer_(answer), writer_(&context_)
    {
        (service_->*ask_)(&context_, &request_, &writer_, queue_, queue_, this);
    }

    void Proceed(bool ok) override
    {
        if (!ok || done_) {
            delete this;
            return;
        }
        new Unary(service_, queue_, ask_, answer_);
        Response response;
        answer_(request_, &response);
        done_ = true;
        writer_.Finish(response, grpc::Status::OK, this);
    }

private:
    Service *service_;
    grpc::ServerCompletionQueue *queue_;
    Ask ask_;
    Answer answer_;
    grpc::ServerContext context_;
    Request request_;
    grpc::ServerAsyncResponseWriter<Response> writer_;
    bool done_ = false;
};

void Live(const ServerLiveRequest &, ServerLiveResponse *response)
{
    response->set_live(true);
}

void Infer(const ModelInferRequest &request, ModelInferResponse *response)
{
    response->set_model_name(request.model_name());
    response->set_model_version("1");
    auto *output = response->add_outputs();
    output->set_name("OUTPUT0");
    if (request.raw_input_contents_size() == 0)
        return;
    const std::string &raw = request.raw_input_contents(0);
    if (raw.size() <= kLarge) {
        output->set_datatype("FP32");
        *output->mutable_shape() = request.inputs(0).shape();
        response->add_raw_output_contents(raw);
        return;
    }
    int64_t n = static_cast<int64_t>(raw.size() / sizeof(float));
    output->set_datatype("INT64");
    output->add_shape(1);
    response->add_raw_output_contents(reinterpret_cast<const char *>(&n), sizeof(n));
}

void Serve(grpc::ServerCompletionQueue *queue)
{
    void *tag;
    bool ok;

    while (queue->Next(&tag, &ok))
        static_cast<Call *>(tag)->Proceed(ok);
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 3) {
        std::fprintf(stderr, "usage: %s ADDRESS LOOPS\n", argv[0]);
        return 2;
    }
    std::string address = argv[1];
    std::string host = address.substr(0, address.rfind(':'));
    int port = 0;
    GRPCInferenceService::AsyncService service;
    grpc::ServerBuilder builder;
    builder.SetMaxReceiveMessageSize(64 << 20);
    builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service);
    std::vector<std::unique_ptr<grpc::ServerCompletionQueue>> queues;
    for (int i = std::atoi(argv[2]); i > 0; i--)
        queues.push_back(builder.AddCompletionQueue());
    std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    if (server == nullptr) {
        std::fprintf(stderr, "%s: cannot listen\n", argv[1]);
        return 1;
    }
    std::vector<std::thread> threads;
    for (auto &queue : queues) {
        for (int i = 0; i < 100; i++) { // calls that may be accepted at once
            new Unary<ServerLiveRequest, ServerLiveResponse>(
                &service, queue.get(), &GRPCInferenceService::AsyncService::RequestServerLive, Live);
            new Unary<ModelInferRequest, ModelInferResponse>(
                &service, queue.get(), &GRPCInferenceService::AsyncService::RequestModelInfer,
                Infer);
        }
        threads.emplace_back(Serve, queue.get());
    }
    std::printf("listening on %s:%d\n", host.c_str(), port);
    std::fflush(stdout);
    for (auto &thread : threads)
        thread.join();
}
