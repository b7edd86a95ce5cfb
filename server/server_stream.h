// ServerStream: the served end of a bidirectional stream, on a completion queue that a thread of
// ours polls. To be derived from.
//
//   Await -> OnOpen -> StartRead -> OnReadDone(ok) -> ...        Finish -> OnDone
//                   -> StartWrite -> OnWriteDone(ok) -> ...
//                   -> OnCancel, where the caller has gone or the server ends
//
// After Finish, and when all that was started has been told of, OnDone comes, once and last, and
// the object may be deleted. Where no caller comes before the server ends, OnNever comes instead of
// all.
//
// Thread rule: one read and one write may be under way at a time; each, and Finish, may be started
// on any thread, under a lock too, for nothing calls back before the queue is polled. What is
// called back is, on the thread that polls.

#ifndef GYRE_SERVER_SERVER_STREAM_H_
#define GYRE_SERVER_SERVER_STREAM_H_

#include <grpcpp/grpcpp.h>

#include <atomic>

#include "api/proto/completion.h"

namespace gyre {

template <typename In, typename Out>
class ServerStream {
 public:
  using Rpc = grpc::ServerAsyncReaderWriter<Out, In>;

  ServerStream(const ServerStream&) = delete;
  ServerStream& operator=(const ServerStream&) = delete;

  // `request(context, rpc, tag)` asks the service for the next caller of its method.
  template <typename Request>
  void Await(Request request) {
    context_.AsyncNotifyWhenDone(ended_.tag());
    request(&context_, &rpc_, opened_.tag());
  }

 protected:
  ServerStream() : rpc_(&context_) {}
  virtual ~ServerStream() = default;

  void StartRead(In* message) {
    under_way_.fetch_add(1);
    rpc_.Read(message, read_.tag());
  }
  // `message` is taken over before it returns.
  void StartWrite(const Out& message) {
    under_way_.fetch_add(1);
    rpc_.Write(message, written_.tag());
  }
  void Finish(const grpc::Status& status) { rpc_.Finish(status, finished_.tag()); }
  // Makes what is under way fail, and OnCancel come.
  void TryCancel() { context_.TryCancel(); }

  virtual void OnOpen() = 0;
  virtual void OnNever() = 0;
  virtual void OnReadDone(bool ok) = 0;
  virtual void OnWriteDone(bool ok) = 0;
  virtual void OnCancel() {}
  virtual void OnDone() = 0;

 private:
  void TellOpened(bool ok) { ok ? OnOpen() : OnNever(); }
  void TellRead(bool ok) {
    OnReadDone(ok);
    End();
  }
  void TellWritten(bool ok) {
    OnWriteDone(ok);
    End();
  }
  void TellFinished(bool) { End(); }
  void TellEnded(bool) {
    if (context_.IsCancelled()) OnCancel();
    End();
  }
  void End() {
    if (under_way_.fetch_sub(1) == 1) OnDone();
  }

  grpc::ServerContext context_;
  Rpc rpc_;
  std::atomic<int> under_way_{2};  // Finish, and the word that the stream has ended
  CompletionOf<ServerStream, &ServerStream::TellOpened> opened_{this};
  CompletionOf<ServerStream, &ServerStream::TellRead> read_{this};
  CompletionOf<ServerStream, &ServerStream::TellWritten> written_{this};
  CompletionOf<ServerStream, &ServerStream::TellFinished> finished_{this};
  CompletionOf<ServerStream, &ServerStream::TellEnded> ended_{this};
};

}  // namespace gyre

#endif  // GYRE_SERVER_SERVER_STREAM_H_
