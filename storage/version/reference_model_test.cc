#include "storage/version/reference_model.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>

namespace gyre {
namespace {

// The columns: name, least and most steps; the weights of write, deliver, read, anti-entropy, hand
// off, report, crash, wipe, refill, move, copy; guest and hint percent; and the weight of expire.
constexpr Scenario kMixture{"mixture", 12, 40, 100, 120, 80, 40, 30, 60, 10, 4, 20, 7, 30, 6, 20};
constexpr Scenario kExpiring{"expiring", 12, 40, 80, 120, 80, 40, 60, 40,
                             10,         4,  20, 7,  30,  10, 30, 60};
constexpr Scenario kLong{"long", 60, 90, 60, 120, 80, 40, 30, 60, 10, 4, 20, 7, 30, 6, 20};
constexpr Scenario kStorm{"storm", 12, 40, 100, 100, 60, 60, 0, 60, 40, 10, 40, 0, 0, 0, 0};
constexpr Scenario kStandIns{"stand-ins", 12, 40, 100, 80, 60, 40, 120,
                             20,          10, 0,  0,   10, 40, 20, 50};
constexpr Scenario kMoves{"moves", 12, 40, 100, 100, 60, 40, 40, 20, 20, 20, 20, 60, 200, 5, 20};
constexpr Scenario kWipes{"wipes", 40, 80, 40, 120, 20, 60, 0, 150, 15, 60, 120, 0, 0, 0, 0};
constexpr Scenario kRepairs{"repairs", 12, 40, 60, 60, 200, 30, 0, 60, 40, 30, 80, 0, 0, 0, 0};
constexpr Scenario kInterrupted{
    "interrupted", 40, 90, 60, 20, 100, 60, 0, 0, 60, 60, 60, 60, 60, 0, 0};

// A million histories where the code is optimised and unobserved; a twentieth where it is slow.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
constexpr uint64_t kScale = 1'000;
#else
constexpr uint64_t kScale = 20'000;
#endif

void ExpectHolds(const Scenario& scenario, uint64_t first_seed, uint64_t histories) {
  ReferenceModel model(scenario);
  for (uint64_t seed = first_seed; seed < first_seed + histories; ++seed) {
    const std::optional<std::string> failure = model.Play(seed);
    if (!failure) continue;
    std::string trace;
    model.PlayTraced(seed, &trace);
    FAIL() << "scenario " << scenario.name << ", seed " << seed << ": " << *failure << "\n"
           << trace;
  }
}

// The checks of the model must notice when `rule` is broken, in at most `histories` histories.
void ExpectNoticed(const Scenario& scenario, Rule rule, uint64_t histories) {
  ReferenceModel model(scenario, rule);
  for (uint64_t seed = 1; seed <= histories; ++seed) {
    if (model.Play(seed)) return;
  }
  ADD_FAILURE() << "not noticed in " << histories << " histories of scenario " << scenario.name;
}

// Two halves of at least 500,000 histories each, which ctest runs side by side.
TEST(ReferenceModel, AgreesWhileEverythingHappensAtOnce) {
  ExpectHolds(kMixture, 1, 24 * kScale);
  ExpectHolds(kLong, 1, kScale);
}

TEST(ReferenceModel, AgreesInStormsHandOffsMovesWipesAndRepairs) {
  ExpectHolds(kStorm, 1, 7 * kScale);
  ExpectHolds(kStandIns, 1, 7 * kScale);
  ExpectHolds(kMoves, 1, 7 * kScale);
  ExpectHolds(kWipes, 1, kScale);
  ExpectHolds(kInterrupted, 1, kScale);
  ExpectHolds(kRepairs, 1, 3 * kScale);
}

TEST(ReferenceModel, AgreesWhileEachOwnerRemovesByItselfWhatHasExpired) {
  ExpectHolds(kExpiring, 1, 5 * kScale);
}

TEST(ReferenceModel, PlaysASeedTheSameWayTwice) {
  ReferenceModel model(kMixture);
  ReferenceModel other(kMixture);
  std::string trace;
  std::string again;
  model.Play(1);
  model.PlayTraced(2, &trace);
  other.PlayTraced(2, &again);
  EXPECT_FALSE(trace.empty());
  EXPECT_EQ(trace, again);
}

TEST(ReferenceModel, NoticesRecordsThatAreNotFilled) { ExpectNoticed(kMixture, kFill, 100); }

TEST(ReferenceModel, NoticesBasesJoinedAfterABrokenExchange) {
  ExpectNoticed(kMixture, kBase, 1'000);
}

TEST(ReferenceModel, NoticesAGuestIdThatOutlivesAHandOff) {
  ExpectNoticed(kStandIns, kGuest, 10'000);
}

TEST(ReferenceModel, NoticesADotThatIsMintedTwiceInOneLife) { ExpectNoticed(kStorm, kLife, 1'000); }

TEST(ReferenceModel, NoticesWhatAReusedDotDoesToData) { ExpectNoticed(kStorm, kRemint, 1'000); }

TEST(ReferenceModel, NoticesWipedDataThatGoesOnUnderItsOldId) {
  ExpectNoticed(kStorm, kAmnesia, 5'000);
}

TEST(ReferenceModel, NoticesReportsOfBasesThatAreNotDurable) {
  ExpectNoticed(kStorm, kWatermark, 10'000);
}

TEST(ReferenceModel, NoticesReportsThatOutliveTheDataOfTheirOwner) {
  ExpectNoticed(kWipes, kForgotten, 10'000);
}

TEST(ReferenceModel, NoticesANewOwnerThatCountsTooEarly) {
  ExpectNoticed(kMoves, kEarlyFlip, 10'000);
}

TEST(ReferenceModel, NoticesACopyOfOneSourceWhereTheOldOwnerIsDead) {
  ExpectNoticed(kMoves, kOneSource, 10'000);
}

TEST(ReferenceModel, NoticesWritesThatSkipTheOwnerToBe) { ExpectNoticed(kMoves, kOldOnly, 10'000); }

TEST(ReferenceModel, NoticesACopyThatJoinsItsClockTooEarly) {
  ExpectNoticed(kMoves, kEarlyBase, 1'000);
}

TEST(ReferenceModel, NoticesACopyWhoseRecordsAndClockAreOfDifferentMoments) {
  ExpectNoticed(kMoves, kMixed, 10'000);
}

TEST(ReferenceModel, NoticesAnOwnerThatJoinsBasesWhileItIsFilled) {
  ExpectNoticed(kWipes, kFilling, 10'000);
}

TEST(ReferenceModel, NoticesAHintThatIsDroppedWithItsOwner) {
  ExpectNoticed(kMoves, kLostHint, 10'000);
}

TEST(ReferenceModel, NoticesACopyThatGoesOnAfterItsSourceLostState) {
  ExpectNoticed(kInterrupted, kStartAnew, 10'000);
}

TEST(ReferenceModel, NoticesAnExpiredVersionThatIsNotCoveredAnyMore) {
  ExpectNoticed(kExpiring, kCovered, 1'000);
}

TEST(ReferenceModel, NoticesARepairThatDoesNotExplainItself) {
  ExpectNoticed(kRepairs, kExplain, 10'000);
}

}  // namespace
}  // namespace gyre
