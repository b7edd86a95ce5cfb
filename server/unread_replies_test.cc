#include "server/unread_replies.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "api/limits.h"

namespace gyre {
namespace {

v1::ClientReply Get(uint64_t id, size_t value_bytes) {
  v1::ClientReply reply;
  reply.set_id(id);
  reply.mutable_get()->set_found(true);
  reply.mutable_get()->add_values(std::string(value_bytes, 'v'));
  return reply;
}

// Full of reads, so that not the smallest more fits.
UnreadReplies Full() {
  UnreadReplies unread;
  for (size_t bytes = kMaxValueBytes; bytes > 0; bytes /= 2) {
    for (size_t i = 0; i < UnreadReplies::kMaxBytes / kMaxValueBytes; ++i) {
      unread.Push(Get(1, bytes));
    }
  }
  return unread;
}

// All that waits, in order, and the largest frame that it took.
std::pair<std::vector<v1::ClientReply>, size_t> Drain(UnreadReplies* unread) {
  std::vector<v1::ClientReply> replies;
  size_t largest = 0;
  for (v1::ServerFrame frame; unread->FillFrame(&frame) > 0; frame.Clear()) {
    largest = std::max(largest, frame.ByteSizeLong());
    replies.insert(replies.end(), frame.replies().begin(), frame.replies().end());
  }
  return {std::move(replies), largest};
}

TEST(UnreadReplies, LeaveInOrderManyToAFrameThatFitsAMessage) {
  UnreadReplies unread;
  for (uint64_t id = 1; id <= 100; ++id) unread.Push(Get(id, id % 10 == 0 ? kMaxValueBytes : 10));
  v1::ServerFrame first;
  EXPECT_EQ(unread.FillFrame(&first), 10u);
  const auto [replies, largest] = Drain(&unread);
  ASSERT_EQ(replies.size(), 90u);
  for (size_t i = 0; i < replies.size(); ++i) EXPECT_EQ(replies[i].id(), 11 + i);
  EXPECT_LE(largest, kMaxMessageBytes);
  EXPECT_TRUE(unread.empty());
}

TEST(UnreadReplies, AreReadNoFurtherFromHalfTheBoundOn) {
  UnreadReplies unread;
  EXPECT_TRUE(unread.ReadOn());
  while (unread.ReadOn()) unread.Push(Get(1, kMaxValueBytes));
  EXPECT_EQ(unread.size(), UnreadReplies::kMaxBytes / kMaxValueBytes / 2);
  v1::ServerFrame frame;
  unread.FillFrame(&frame);
  EXPECT_TRUE(unread.ReadOn());
}

TEST(UnreadReplies, OfReadsBeyondTheBoundAreOverloadedAndSoTyped) {
  UnreadReplies unread = Full();
  const size_t before = unread.size();
  unread.Push(Get(7, 1));
  v1::ClientReply multi;
  multi.set_id(8);
  multi.mutable_multi_get()->add_items()->mutable_get()->add_values("v");
  unread.Push(std::move(multi));
  const auto replies = Drain(&unread).first;
  ASSERT_EQ(replies.size(), before + 2);
  for (const uint64_t id : {7, 8}) {
    const v1::ClientReply& reply = replies[before + id - 7];
    EXPECT_EQ(reply.id(), id);
    EXPECT_EQ(reply.error().detail().reason(), v1::ErrorDetail::OVERLOADED);
    EXPECT_GT(reply.error().detail().retry_after_ms(), 0u);
  }
}

TEST(UnreadReplies, TellWhatBecameOfAWriteWhateverWaits) {
  std::vector<v1::ClientReply> writes(4);
  writes[0].mutable_put()->set_context("put");
  writes[1].mutable_delete_()->set_context("delete");
  for (int i = 0; i < kMaxMultiItems; ++i) {
    writes[2].mutable_multi_put()->add_items()->mutable_put()->set_context("item");
  }
  writes[3].mutable_error()->mutable_detail()->set_outcome_unknown(true);
  UnreadReplies unread = Full();
  const size_t before = unread.size();
  for (const v1::ClientReply& write : writes) unread.Push(write);
  const auto replies = Drain(&unread).first;
  ASSERT_EQ(replies.size(), before + writes.size());
  for (size_t i = 0; i < writes.size(); ++i) {
    EXPECT_EQ(replies[before + i].SerializeAsString(), writes[i].SerializeAsString());
  }
}

}  // namespace
}  // namespace gyre
