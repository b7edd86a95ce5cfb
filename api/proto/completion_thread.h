// CompletionThread: a completion queue, and the thread that polls it.
//
// Thread rule: `queue` from any thread. Before it is destroyed, every operation on the queue must
// have been told of, or be sure to be.

#ifndef GYRE_API_PROTO_COMPLETION_THREAD_H_
#define GYRE_API_PROTO_COMPLETION_THREAD_H_

#include <grpcpp/grpcpp.h>
#include <pthread.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "api/proto/completion.h"

namespace gyre {

class CompletionThread {
 public:
  // `name`: of the thread, of which the system shows 15 characters.
  explicit CompletionThread(const std::string& name, std::unique_ptr<grpc::CompletionQueue> queue =
                                                         std::make_unique<grpc::CompletionQueue>())
      : queue_(std::move(queue)), thread_([this] { Run(); }) {
    pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
  }
  CompletionThread(const CompletionThread&) = delete;
  CompletionThread& operator=(const CompletionThread&) = delete;
  // Returns when all has been told. REQUIRES: not on the thread itself, and nothing is started any
  // more.
  ~CompletionThread() {
    queue_->Shutdown();
    thread_.join();
  }

  grpc::CompletionQueue* queue() { return queue_.get(); }

 private:
  void Run() {
    void* tag;
    bool ok;
    while (queue_->Next(&tag, &ok)) Complete(tag, ok);
  }

  const std::unique_ptr<grpc::CompletionQueue> queue_;
  std::thread thread_;
};

}  // namespace gyre

#endif  // GYRE_API_PROTO_COMPLETION_THREAD_H_
