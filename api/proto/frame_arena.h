// FrameArena: the memory of one frame at a time, taken in blocks and given back as a whole, so that
// a frame of a hundred messages costs neither an allocation nor a destructor for each.
//
//   FrameArena<peer::PeerFrame> frames(32 << 10);
//   peer::PeerFrame* frame = frames.Renew();   // what the last call gave is gone
//
// Strings may be moved out of a frame; whole messages are copied when they leave it.
// Thread rule: one thread at a time.

#ifndef GYRE_API_PROTO_FRAME_ARENA_H_
#define GYRE_API_PROTO_FRAME_ARENA_H_

#include <google/protobuf/arena.h>

#include <cstddef>
#include <memory>

namespace gyre {

template <typename Frame>
class FrameArena {
 public:
  // `kept_bytes` stay allocated between frames, for a frame that is filled on the thread that
  // called Renew; one that is larger, or filled on another thread, takes blocks while it lives.
  explicit FrameArena(size_t kept_bytes)
      : kept_(std::make_unique<char[]>(kept_bytes)), arena_(Options(kept_.get(), kept_bytes)) {}
  FrameArena(const FrameArena&) = delete;
  FrameArena& operator=(const FrameArena&) = delete;

  // An empty frame, until the next call.
  Frame* Renew() {
    arena_.Reset();
    return google::protobuf::Arena::CreateMessage<Frame>(&arena_);
  }

 private:
  static google::protobuf::ArenaOptions Options(char* block, size_t bytes) {
    google::protobuf::ArenaOptions options;
    options.initial_block = block;
    options.initial_block_size = bytes;
    options.start_block_size = bytes;
    options.max_block_size = 64 << 10;
    return options;
  }

  const std::unique_ptr<char[]> kept_;
  google::protobuf::Arena arena_;
};

}  // namespace gyre

#endif  // GYRE_API_PROTO_FRAME_ARENA_H_
