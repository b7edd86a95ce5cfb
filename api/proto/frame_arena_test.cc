#include "api/proto/frame_arena.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <utility>

#include "api/proto/peer.pb.h"

namespace gyre {
namespace {

std::string Bytes(int messages) {
  peer::PeerFrame frame;
  for (int i = 0; i < messages; ++i) {
    frame.add_messages()->mutable_refused()->set_topology(std::string(100, 'x'));
  }
  return frame.SerializeAsString();
}

TEST(FrameArena, GivesAnEmptyFrameEachTime) {
  FrameArena<peer::PeerFrame> frames(1024);
  frames.Renew()->mutable_hello()->set_node(1);
  const peer::PeerFrame* const frame = frames.Renew();
  EXPECT_FALSE(frame->has_hello());
  EXPECT_EQ(frame->messages_size(), 0);
}

TEST(FrameArena, TakesFramesLargerThanWhatItKeeps) {
  FrameArena<peer::PeerFrame> frames(1024);
  for (int round = 0; round < 3; ++round) {
    peer::PeerFrame* const frame = frames.Renew();
    ASSERT_TRUE(frame->ParseFromString(Bytes(5000)));
    EXPECT_EQ(frame->messages(4999).refused().topology(), std::string(100, 'x'));
  }
}

TEST(FrameArena, StringsThatWereMovedOutStay) {
  FrameArena<peer::PeerFrame> frames(1024);
  peer::PeerFrame* const frame = frames.Renew();
  ASSERT_TRUE(frame->ParseFromString(Bytes(1)));
  const std::string kept =
      std::move(*frame->mutable_messages(0)->mutable_refused()->mutable_topology());
  frames.Renew();
  EXPECT_EQ(kept, std::string(100, 'x'));
}

// As gRPC does: renewed by whoever starts the read, filled by whoever ends it.
TEST(FrameArena, MayBeFilledAndRenewedOnDifferentThreads) {
  FrameArena<peer::PeerFrame> frames(1024);
  for (int round = 0; round < 20; ++round) {
    peer::PeerFrame* const frame = frames.Renew();
    std::thread([frame] { EXPECT_TRUE(frame->ParseFromString(Bytes(50))); }).join();
    EXPECT_EQ(frame->messages_size(), 50);
    std::thread([&frames] { frames.Renew(); }).join();
  }
}

}  // namespace
}  // namespace gyre
