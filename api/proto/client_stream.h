// ClientStream: the caller's end of a bidirectional stream, on a completion queue that a thread of
// ours polls. To be derived from.
//
//   Start -> OnReadDone(true) -> StartRead -> OnReadDone(true) -> ... -> OnReadDone(false)
//         -> StartWrite -> OnWriteDone(ok) -> ...                        \-> OnDone(status)
//
// The stream ends when a read has failed and nothing that was started is still under way: then
// OnDone comes, once and last, and the object may be deleted. So a read must always be under way,
// and nothing may be started after one has failed. TryCancel of `context` makes a read fail.
//
// Thread rule: one read and one write may be under way at a time; each may be started on any
// thread, under a lock too, for nothing calls back before the queue is polled. What is called back
// is, on the thread that polls.

#ifndef GYRE_API_PROTO_CLIENT_STREAM_H_
#define GYRE_API_PROTO_CLIENT_STREAM_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <memory>
#include <utility>

#include "api/proto/completion.h"

namespace gyre {

template <typename Out, typename In>
class ClientStream {
 public:
  using Rpc = grpc::ClientAsyncReaderWriter<Out, In>;

  ClientStream(const ClientStream&) = delete;
  ClientStream& operator=(const ClientStream&) = delete;

  void Cancel() { context_.TryCancel(); }

  // Between the two the stream does not end: for a write that is started on a thread other than the
  // one that polls. REQUIRES: Hold while a read or a write is under way.
  void Hold() { Begin(); }
  void Release() { End(); }

 protected:
  ClientStream() { context_.set_initial_metadata_corked(true); }
  virtual ~ClientStream() = default;

  grpc::ClientContext* context() { return &context_; }

  // Starts the call and the first read. `rpc`: prepared with context(), and not started. The call
  // leaves with the first write, which is to follow.
  void Start(std::unique_ptr<Rpc> rpc, In* message) {
    rpc_ = std::move(rpc);
    rpc_->StartCall(nullptr);  // corked: nothing is told of it
    StartRead(message);
  }
  void StartRead(In* message) {
    Begin();
    rpc_->Read(message, read_.tag());
  }
  // `message` is taken over before it returns.
  void StartWrite(const Out& message) {
    Begin();
    rpc_->Write(message, written_.tag());
  }

  virtual void OnReadDone(bool ok) = 0;
  virtual void OnWriteDone(bool ok) = 0;
  virtual void OnDone(const grpc::Status& status) = 0;

 private:
  void TellRead(bool ok) {
    OnReadDone(ok);
    End();
  }
  void TellWritten(bool ok) {
    OnWriteDone(ok);
    End();
  }
  void TellFinished(bool) { OnDone(status_); }

  void Begin() { under_way_.fetch_add(1); }
  void End() {
    if (under_way_.fetch_sub(1) == 1) rpc_->Finish(&status_, finished_.tag());
  }

  grpc::ClientContext context_;
  std::unique_ptr<Rpc> rpc_;
  grpc::Status status_;
  std::atomic<int> under_way_{0};
  CompletionOf<ClientStream, &ClientStream::TellRead> read_{this};
  CompletionOf<ClientStream, &ClientStream::TellWritten> written_{this};
  CompletionOf<ClientStream, &ClientStream::TellFinished> finished_{this};
};

}  // namespace gyre

#endif  // GYRE_API_PROTO_CLIENT_STREAM_H_
