#include "server/address_notice.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace gyre {
namespace {

constexpr std::chrono::milliseconds kNoPause{0};
constexpr std::chrono::seconds kLong{60};

TEST(AddressNotice, GoesOnUntilTheDocumentSaysIt) {
  int proposed = 0;  // of the notice's thread until `told` is set
  std::atomic<bool> in_document = false;
  bool seen = false;  // of the notice's thread
  std::vector<std::string> failures;
  std::promise<void> told;
  {
    AddressNotice notice(
        {.is_told =
             [&] {
               if (in_document && !std::exchange(seen, true)) told.set_value();
               return in_document.load();
             },
         .propose =
             [&](const AddressNotice::Done& done) {
               if (++proposed < 4) return done(absl::UnavailableError("no majority"));
               in_document = true;
               done(absl::OkStatus());
             },
         .on_failure = [&](const absl::Status& why) { failures.emplace_back(why.message()); }},
        kNoPause);
    ASSERT_EQ(told.get_future().wait_for(kLong), std::future_status::ready);
  }
  EXPECT_EQ(proposed, 4);
  EXPECT_EQ(failures, std::vector<std::string>(3, "no majority"));
}

// The one of the start is of the node's own configuration where its directory was lost.
TEST(AddressNotice, LooksAgainForTheDocumentMayBeAnother) {
  std::atomic<int> looks = 0;
  std::promise<void> proposed;
  AddressNotice notice({.is_told = [&] { return ++looks != 3; },
                        .propose =
                            [&](const AddressNotice::Done& done) {
                              proposed.set_value();
                              done(absl::OkStatus());
                            },
                        .on_failure = [](const absl::Status&) {}},
                       kNoPause);
  EXPECT_EQ(proposed.get_future().wait_for(kLong), std::future_status::ready);
}

TEST(AddressNotice, AsksNothingOfADocumentThatHasIt) {
  bool proposed = false;
  {
    AddressNotice notice({.is_told = [] { return true; },
                          .propose = [&](const AddressNotice::Done&) { proposed = true; },
                          .on_failure = [](const absl::Status&) {}});
  }
  EXPECT_FALSE(proposed);
}

TEST(AddressNotice, EndsWhateverItWaitsFor) {
  std::promise<void> asked;
  AddressNotice::Done late;
  {
    AddressNotice unanswered({.is_told = [] { return false; },
                              .propose =
                                  [&](const AddressNotice::Done& done) {
                                    late = done;
                                    asked.set_value();
                                  },
                              .on_failure = [](const absl::Status&) {}},
                             std::chrono::hours(1));
    asked.get_future().wait();
  }
  late(absl::OkStatus());  // nobody waits for it any more
  std::promise<void> failed;
  {
    AddressNotice paused(
        {.is_told = [] { return false; },
         .propose =
             [](const AddressNotice::Done& done) { done(absl::UnavailableError("no majority")); },
         .on_failure = [&](const absl::Status&) { failed.set_value(); }},
        std::chrono::hours(1));
    failed.get_future().wait();
  }
}

}  // namespace
}  // namespace gyre
