// Session: one client's pipelined stream. Requests come many to a frame; replies leave in whatever
// order they are ready, everything that is ready while a frame is being written in the next one.
//
// A client that does not read its replies, or has too much in flight, is read no further until that
// changes; gRPC's flow control then stops it at its end. What it has asked for by then still comes,
// as far as there is room for it (UnreadReplies).
//
// Thread rule: any thread. The session owns itself until gRPC has reported the stream's end and the
// last reply has come.

#ifndef GYRE_SERVER_SESSION_H_
#define GYRE_SERVER_SESSION_H_

#include <grpcpp/grpcpp.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>

#include "api/proto/frame_arena.h"
#include "api/proto/gyre.grpc.pb.h"
#include "server/caller.h"
#include "server/door.h"
#include "server/server_stream.h"
#include "server/unread_replies.h"

namespace gyre {

class Session final : public ServerStream<v1::ClientFrame, v1::ServerFrame>,
                      public Caller,
                      public std::enable_shared_from_this<Session> {
 public:
  // Requests of one connection that were read and whose replies have not been written. Beyond, the
  // session reads no further.
  static constexpr size_t kMaxInFlight = 4096;
  // Of a frame of requests, beside their values.
  static constexpr size_t kKeptFrameBytes = 4 << 10;

  // What its service is told; on the thread that polls.
  struct Events {
    std::function<void(const std::shared_ptr<Session>&)> on_open;  // a client has come
    std::function<void(Session*)> on_done;  // the stream has ended, or never was
  };

  // One that waits for its client.
  static std::shared_ptr<Session> Make(Door* door, Events events);

  // Ends the stream once its last reply is written.
  void Drain();

  // Caller.
  void OnReply(v1::ClientReply reply) override;
  void Flush() override;

 private:
  Session(Door* door, Events events) : door_(door), events_(std::move(events)) {}

  void OnOpen() override;
  void OnNever() override;
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  // Calls StartRead, with a new frame.
  void Read();
  // What there is to do, decided under the lock and done after it: gRPC may call back at once.
  void Proceed(std::unique_lock<std::mutex> lock);

  Door* const door_;
  const Events events_;
  std::shared_ptr<Session> self_;  // until OnDone or OnNever

  FrameArena<v1::ClientFrame> frames_{kKeptFrameBytes};
  v1::ClientFrame* incoming_ = nullptr;  // of the read under way; in frames_
  v1::ServerFrame outgoing_;             // of the write under way

  std::mutex mutex_;
  UnreadReplies ready_;   // guarded by mutex_, and so are the rest
  size_t in_flight_ = 0;  // read and not yet written
  size_t in_frame_ = 0;   // replies in `outgoing_`
  bool reading_ = false;
  bool writing_ = false;
  bool reads_ended_ = false;
  bool broken_ = false;
  bool draining_ = false;
  bool finished_ = false;
  grpc::Status end_;  // what the stream ends with
};

}  // namespace gyre

#endif  // GYRE_SERVER_SESSION_H_
