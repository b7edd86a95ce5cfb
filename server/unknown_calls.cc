#include "server/unknown_calls.h"

#include "api/proto/completion.h"

namespace gyre {

class UnknownCalls::Call {
 public:
  Call(UnknownCalls* calls, grpc::ServerCompletionQueue* queue)
      : calls_(calls), queue_(queue), stream_(&context_) {
    calls->open_.Add();
    calls->service_.RequestCall(&context_, &stream_, queue, queue, opened_.tag());
  }

 private:
  void OnOpened(bool ok) {
    if (!ok) return OnFinished(false);
    calls_->Await(queue_);
    stream_.Finish({grpc::StatusCode::UNIMPLEMENTED, ""}, finished_.tag());
  }
  void OnFinished(bool) {
    UnknownCalls* const calls = calls_;
    delete this;
    calls->open_.Remove();
  }

  UnknownCalls* const calls_;
  grpc::ServerCompletionQueue* const queue_;
  grpc::GenericServerContext context_;
  grpc::GenericServerAsyncReaderWriter stream_;
  CompletionOf<Call, &Call::OnOpened> opened_{this};
  CompletionOf<Call, &Call::OnFinished> finished_{this};
};

// It belongs to itself from here on.
void UnknownCalls::Await(grpc::ServerCompletionQueue* queue) { new Call(this, queue); }

}  // namespace gyre
