#include "server/unread_replies.h"

#include <cstdint>
#include <utility>

#include "api/error_translation.h"
#include "api/limits.h"

namespace gyre {
namespace {

constexpr uint32_t kRetryAfterMs = 50;

}  // namespace

void UnreadReplies::Push(v1::ClientReply reply) {
  size_t bytes = reply.ByteSizeLong();
  const bool values = reply.has_get() || reply.has_multi_get();
  if (values && bytes_ + bytes > kMaxBytes) {
    const uint64_t id = reply.id();
    reply.Clear();
    reply.set_id(id);
    ToProto(Overloaded(kRetryAfterMs, "replies that the client has not read"),
            reply.mutable_error());
    bytes = reply.ByteSizeLong();
  }
  bytes_ += bytes;
  waiting_.push_back({std::move(reply), bytes});
}

size_t UnreadReplies::FillFrame(v1::ServerFrame* frame) {
  size_t replies = 0;
  size_t bytes = 0;
  while (!waiting_.empty() && bytes < kFrameBytes) {
    Waiting& next = waiting_.front();
    if (bytes > 0 && bytes + next.bytes > kMaxReplyValueBytes) break;
    bytes += next.bytes;
    bytes_ -= next.bytes;
    *frame->add_replies() = std::move(next.reply);
    waiting_.pop_front();
    ++replies;
  }
  return replies;
}

void UnreadReplies::Clear() {
  waiting_.clear();
  bytes_ = 0;
}

}  // namespace gyre
