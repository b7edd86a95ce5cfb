// UnreadReplies: the replies of one connection that wait to be read by its client, in order.
//
// Bounded by kMaxBytes: a read whose reply would pass it is answered "overloaded" instead. What
// tells a client about a write is kept whatever waits, for nothing else can tell it. That is
// bounded by what was in flight when the connection began to be read no further (`ReadOn`).
//
// Thread rule: one thread at a time.

#ifndef GYRE_SERVER_UNREAD_REPLIES_H_
#define GYRE_SERVER_UNREAD_REPLIES_H_

#include <cstddef>
#include <deque>

#include "api/proto/gyre.pb.h"

namespace gyre {

class UnreadReplies {
 public:
  // Too small, and many large values asked for at once are refused; it is memory that a client can
  // take.
  static constexpr size_t kMaxBytes = size_t{64} << 20;
  // Where a frame of replies is full.
  static constexpr size_t kFrameBytes = size_t{256} << 10;

  void Push(v1::ClientReply reply);
  // Moves the next replies, at least one where there is one, to `frame`. Answers how many.
  size_t FillFrame(v1::ServerFrame* frame);
  void Clear();

  // Whether there is room for the replies to more requests.
  bool ReadOn() const { return bytes_ < kMaxBytes / 2; }
  bool empty() const { return waiting_.empty(); }
  size_t size() const { return waiting_.size(); }

 private:
  struct Waiting {
    v1::ClientReply reply;
    size_t bytes;
  };
  std::deque<Waiting> waiting_;
  size_t bytes_ = 0;  // of waiting_
};

}  // namespace gyre

#endif  // GYRE_SERVER_UNREAD_REPLIES_H_
