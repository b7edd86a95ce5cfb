// All orders of a move, its documents, a write and a read (ring/move.h): up to so many events from
// where each document of the move has just been decided, and then to the end.

#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <ostream>

#include "test/explorer/explore.h"
#include "test/explorer/flip_world.h"

namespace gyre {
namespace {

constexpr size_t kDepth = 6;
constexpr size_t kLessDepth = 5;   // where more happens
constexpr size_t kCrashDepth = 2;  // where one may crash as well

struct Seen {
  uint64_t orders = 0;
  uint64_t steps = 0;
  uint64_t reads = 0;  // that came to an end
  uint64_t flips = 0;  // in which the move came to an end
};

// One node after the other crashes at each event on the way from the first document of the move to
// its end; from there all orders of the next few, and on to the end, which must come.
void ExpectSoundWhoeverCrashes(FlipSetup setup) {
  uint64_t crashes = 0;
  uint64_t reads = 0;
  for (int crashes_at = 0; crashes_at < FlipWorld::kNodes; ++crashes_at) {
    for (setup.writer = 0; setup.writer < FlipWorld::kNodes; ++setup.writer) {
      for (setup.reader = 0; setup.reader < FlipWorld::kNodes; ++setup.reader) {
        bool goes_on = true;
        for (size_t events = 0; goes_on; ++events) {
          setup.crashes = crashes_at;
          const auto crashed = [&] {
            auto world = std::make_unique<FlipWorld>(setup);
            for (size_t i = 0; i < events; ++i) {
              const FlipWorld::Event next = world->Enabled().front();
              goes_on = next.kind != FlipWorld::Kind::kCrash;  // nothing else is left to happen
              if (!goes_on) break;
              EXPECT_EQ(world->Perform(next), "");
            }
            world->Perform({FlipWorld::Kind::kCrash, crashes_at});
            return world;
          };
          Explorer<FlipWorld> explorer(crashed, kCrashDepth, [&](const FlipWorld& world) {
            ++crashes;
            reads += world.read_done() ? 1 : 0;
            EXPECT_EQ(world.documents(), 4) << "node " << crashes_at << " after " << events;
          });
          const Exploration result = explorer.Run();
          ASSERT_EQ(result.broken, "")
              << "node " << crashes_at << " after " << events << " events, writer " << setup.writer
              << ", reader " << setup.reader;
          if (::testing::Test::HasFailure()) return;
        }
      }
    }
  }
  EXPECT_GT(reads, 0u);
  std::printf("%ju orders with a crash, %ju reads\n", uintmax_t{crashes}, uintmax_t{reads});
}

// Whoever writes and whoever reads.
void ExpectSound(FlipSetup setup, size_t depth = kDepth) {
  Seen seen;
  // Who is to be there as it is asked.
  const auto is_gone = [&](int node) {
    return (setup.dead_giver && node == FlipWorld::kGiver) ||
           (setup.dead_taker && !setup.serves_on && setup.documents > 3 &&
            node == FlipWorld::kTaker);
  };
  const int documents = setup.dead_taker ? 5 : 4;  // once all is done
  for (setup.writer = 0; setup.writer < FlipWorld::kNodes; ++setup.writer) {
    for (setup.reader = 0; setup.reader < FlipWorld::kNodes; ++setup.reader) {
      if (is_gone(setup.writer) || is_gone(setup.reader)) continue;
      Explorer<FlipWorld> explorer([&] { return std::make_unique<FlipWorld>(setup); }, depth,
                                   [&](const FlipWorld& world) {
                                     seen.reads += world.read_done() ? 1 : 0;
                                     seen.flips += world.documents() == documents ? 1 : 0;
                                   });
      const Exploration result = explorer.Run();
      ASSERT_EQ(result.broken, "") << "writer " << setup.writer << ", reader " << setup.reader;
      seen.orders += result.orders;
      seen.steps += result.steps;
    }
  }
  EXPECT_GT(seen.reads, 0u);
  EXPECT_GT(seen.flips, 0u);
  std::printf("%ju orders, %ju steps, %ju reads, %ju moves that ended\n", uintmax_t{seen.orders},
              uintmax_t{seen.steps}, uintmax_t{seen.reads}, uintmax_t{seen.flips});
}

struct Place {
  int documents;
  std::optional<int> behind;
};

// The names of tests say it.
void PrintTo(const Place& place, std::ostream* out) {
  *out << place.documents << " documents";
  if (place.behind.has_value()) *out << ", node " << *place.behind << " behind";
}

class Flip : public ::testing::TestWithParam<Place> {
 protected:
  static FlipSetup Setup(int replicas, int write_quorum, int read_quorum) {
    FlipSetup setup;
    setup.replicas = replicas;
    setup.write_quorum = write_quorum;
    setup.read_quorum = read_quorum;
    setup.documents = GetParam().documents;
    setup.behind = GetParam().behind;
    return setup;
  }
};

TEST_P(Flip, OfASoleOwnerLosesNoWrite) { ExpectSound(Setup(1, 1, 1)); }
TEST_P(Flip, OfOneOfTwoOwnersLosesNoWriteOfOneCopy) { ExpectSound(Setup(2, 1, 2)); }
TEST_P(Flip, OfOneOfTwoOwnersLosesNoWriteThatEitherOfThemTells) { ExpectSound(Setup(2, 2, 1)); }

// Who takes its place hears all others, and so none of them stays behind.
class FlipOfTheDead : public Flip {};

TEST_P(FlipOfTheDead, LosesNoWriteOfTheOtherOwner) {
  FlipSetup setup = Setup(2, 1, 2);
  setup.dead_giver = true;
  ExpectSound(setup);
}

// It goes back to who gave it.
class FlipToTheDead : public Flip {
 protected:
  static FlipSetup Setup(int replicas, int write_quorum, int read_quorum) {
    FlipSetup setup = Flip::Setup(replicas, write_quorum, read_quorum);
    setup.dead_taker = true;
    return setup;
  }
};

TEST_P(FlipToTheDead, LosesNoWriteOfASoleOwner) { ExpectSound(Setup(1, 1, 1)); }
TEST_P(FlipToTheDead, LosesNoWriteOfOneCopy) { ExpectSound(Setup(2, 1, 2)); }
TEST_P(FlipToTheDead, LosesNoWriteThatEitherOwnerTells) { ExpectSound(Setup(2, 2, 1)); }
// No read is of it alone: else nothing helps (ring/move.h).
TEST_P(FlipToTheDead, LosesNoWriteThoughItServesOn) {
  FlipSetup setup = Setup(2, 1, 2);
  setup.serves_on = true;
  ExpectSound(setup, kLessDepth);
}

class FlipWithACrash : public Flip {};

TEST_P(FlipWithACrash, OfASoleOwnerLosesNoWrite) { ExpectSoundWhoeverCrashes(Setup(1, 1, 1)); }
TEST_P(FlipWithACrash, OfOneOfTwoOwnersLosesNoWriteOfOneCopy) {
  ExpectSoundWhoeverCrashes(Setup(2, 1, 2));
}
TEST_P(FlipWithACrash, OfOneOfTwoOwnersLosesNoWriteThatEitherOfThemTells) {
  ExpectSoundWhoeverCrashes(Setup(2, 2, 1));
}

INSTANTIATE_TEST_SUITE_P(Begun, FlipWithACrash, ::testing::Values(Place{2, {}}));
INSTANTIATE_TEST_SUITE_P(Begun, Flip, ::testing::Values(Place{2, {}}));
INSTANTIATE_TEST_SUITE_P(Filled, Flip, ::testing::Values(Place{3, {}}));
INSTANTIATE_TEST_SUITE_P(FilledWhileOneHeardOfNothing, Flip, ::testing::Values(Place{3, 0}));
INSTANTIATE_TEST_SUITE_P(Ended, Flip, ::testing::Values(Place{4, {}}));

INSTANTIATE_TEST_SUITE_P(Stages, FlipToTheDead,
                         ::testing::Values(Place{3, {}}, Place{4, {}}, Place{5, {}}));

INSTANTIATE_TEST_SUITE_P(Stages, FlipOfTheDead,
                         ::testing::Values(Place{2, {}}, Place{3, {}}, Place{4, {}}));

}  // namespace
}  // namespace gyre
