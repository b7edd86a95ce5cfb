#include "server/health_service.h"

#include <memory>
#include <utility>

#include "api/proto/gyre.grpc.pb.h"
#include "server/unary_call.h"

namespace gyre {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

// One that watches: told the status, and once more if it has changed meanwhile. It ends when its
// client has gone or the server ends.
class HealthService::Watcher {
 public:
  Watcher(HealthService* service, grpc::ServerCompletionQueue* queue)
      : service_(service), queue_(queue), writer_(&context_) {
    context_.AsyncNotifyWhenDone(gone_.tag());
    service_->open_.Add();
    service_->service_.RequestWatch(&context_, &request_, &writer_, queue, queue, opened_.tag());
  }

  // REQUIRES: the service's lock is held
  void Tell() {
    const Status::ServingStatus now = service_->StatusOf(request_.service());
    if (writing_ || ending_ || now == told_) return;
    writing_ = true;
    told_ = now;
    Status status;
    status.set_status(now);
    writer_.Write(status, written_.tag());
  }

 private:
  void OnOpened(bool ok) {
    if (!ok) return Leave();
    service_->AwaitWatcher(queue_);
    std::lock_guard<std::mutex> lock(service_->mutex_);
    if (service_->watchers_.size() >= kMaxWatchers) {
      return Finish({grpc::StatusCode::RESOURCE_EXHAUSTED, "too many watch the health"});
    }
    service_->watchers_.insert(this);
    Tell();
  }
  void OnWritten(bool) {
    std::lock_guard<std::mutex> lock(service_->mutex_);
    writing_ = false;
    if (ending_) {
      writer_.Finish(grpc::Status::CANCELLED, finished_.tag());
    } else {
      Tell();
    }
  }
  void OnGone(bool) {
    {
      std::lock_guard<std::mutex> lock(service_->mutex_);
      if (!ending_) Finish(grpc::Status::CANCELLED);
    }
    if (--left_ == 0) Leave();
  }
  // REQUIRES: the service's lock is held, and nothing has ended it before
  void Finish(const grpc::Status& status) {
    ending_ = true;
    if (!writing_) writer_.Finish(status, finished_.tag());
  }
  void OnFinished(bool) {
    {
      std::lock_guard<std::mutex> lock(service_->mutex_);
      service_->watchers_.erase(this);
    }
    if (--left_ == 0) Leave();
  }
  void Leave() {
    HealthService* const service = service_;
    delete this;
    service->open_.Remove();
  }

  HealthService* const service_;
  grpc::ServerCompletionQueue* const queue_;
  grpc::ServerContext context_;
  HealthCheckRequest request_;
  int left_ = 2;  // of OnGone and OnFinished; of the thread that polls
  grpc::ServerAsyncWriter<HealthCheckResponse> writer_;
  Status::ServingStatus told_ = Status::UNKNOWN;  // and the rest: guarded by the service's lock
  bool writing_ = false;
  bool ending_ = false;
  CompletionOf<Watcher, &Watcher::OnOpened> opened_{this};
  CompletionOf<Watcher, &Watcher::OnWritten> written_{this};
  CompletionOf<Watcher, &Watcher::OnGone> gone_{this};
  CompletionOf<Watcher, &Watcher::OnFinished> finished_{this};
};

void HealthService::Await(grpc::ServerCompletionQueue* queue) {
  using Check = UnaryCall<HealthCheckRequest, HealthCheckResponse>;
  Check::Service checks;
  checks.request = [this, queue](grpc::ServerContext* context, HealthCheckRequest* request,
                                 Check::Writer* writer, void* tag) {
    open_.Add();
    service_.RequestCheck(context, request, writer, queue, queue, tag);
  };
  checks.serve = [this](const Check::Pointer& call) {
    HealthCheckResponse answer;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      answer.set_status(StatusOf(call->request().service()));
    }
    if (answer.status() == HealthCheckResponse::SERVICE_UNKNOWN) {
      call->End(absl::NotFoundError("no such service here"));
    } else {
      call->End(std::move(answer));
    }
  };
  checks.on_done = [this] { open_.Remove(); };
  Check::Await(std::make_shared<const Check::Service>(std::move(checks)));
  AwaitWatcher(queue);
}

// It belongs to itself from here on.
void HealthService::AwaitWatcher(grpc::ServerCompletionQueue* queue) { new Watcher(this, queue); }

HealthService::Status::ServingStatus HealthService::StatusOf(const std::string& name) const {
  if (name == kProcess) return Status::SERVING;
  if (!name.empty() && name != v1::Gyre::service_full_name()) return Status::SERVICE_UNKNOWN;
  return serving_ ? Status::SERVING : Status::NOT_SERVING;
}

void HealthService::StopServing() {
  std::lock_guard<std::mutex> lock(mutex_);
  serving_ = false;
  for (Watcher* const watcher : watchers_) watcher->Tell();
}

}  // namespace gyre
