#include "test/workload/history.h"

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace gyre {
namespace {

const History::Item kItem = {"table", "key"};
using Events = std::set<EventId>;
using Kind = ActionResult::Kind;

Time At(int64_t second) { return Time() + Duration::Seconds(second); }

// A history told step by step: write 1 is asked at second 10 and ends at 11, write 2 at 20 and 21,
// …
class Story {
 public:
  explicit Story(ConflictPolicy conflict = ConflictPolicy::kSiblings) : history_(conflict) {}

  Story& Put(EventId event, std::vector<EventId> parents, Kind kind = Kind::kOk) {
    return Tell(event, Action::Kind::kPut, Action::Mode::kContext, std::move(parents), kind);
  }
  Story& Blind(EventId event, Kind kind = Kind::kOk) {
    return Tell(event, Action::Kind::kPut, Action::Mode::kBlind, {}, kind);
  }
  Story& Default(EventId event, Kind kind = Kind::kOk) {
    return Tell(event, Action::Kind::kPut, Action::Mode::kDefault, {}, kind);
  }
  Story& Delete(EventId event, std::vector<EventId> parents, Kind kind = Kind::kOk) {
    return Tell(event, Action::Kind::kDelete, Action::Mode::kContext, std::move(parents), kind);
  }

  // Whether whoever asks for what follows knows that it went to one node alone.
  Story& SentOnce(bool sent_once) {
    sent_once_ = sent_once;
    return *this;
  }

  // A blind put that lives for so long.
  Story& Lives(EventId event, int64_t seconds) {
    ttl_ = Duration::Seconds(seconds);
    Blind(event);
    ttl_ = Duration();
    return *this;
  }

  // What is wrong with a read that begins then, whatever R is, by what has expired.
  std::string Expired(int64_t began, const Events& shown) const {
    return history_.JudgeExpired(kItem, shown, At(began)).value_or("");
  }
  // What is wrong with a read from second `began` to the one after; "" for nothing.
  std::string Read(int64_t began, const Events& shown) const {
    return history_.JudgeRead(kItem, shown, At(began), At(began + 1)).value_or("");
  }
  // With what is shown when all is quiet and healed.
  std::string Settled(const Events& shown) const {
    return history_.JudgeSettled(kItem, shown).value_or("");
  }
  // And with a replica that claims some writes and shows some.
  std::string Replica(const Events& claimed, const Events& shown) const {
    return history_.JudgeEffects(kItem, claimed, shown).value_or("");
  }
  History& history() { return history_; }

 private:
  Story& Tell(EventId event, Action::Kind kind, Action::Mode mode, std::vector<EventId> parents,
              Kind end) {
    Action action;
    action.kind = kind;
    action.mode = mode;
    action.table = kItem.first;
    action.key = kItem.second;
    action.event = event;
    action.parents = std::move(parents);
    action.ttl = ttl_;
    history_.OnAsked(action, At(static_cast<int64_t>(event) * 10));
    ActionResult result;
    result.kind = end;
    result.ended = At(static_cast<int64_t>(event) * 10 + 1);
    result.sent_once = sent_once_;
    history_.OnEnded(action, result);
    return *this;
  }

  History history_;
  bool sent_once_ = false;
  Duration ttl_;
};

bool Says(const std::string& judgement, const std::string& word) {
  return judgement.find(word) != std::string::npos;
}

TEST(History, FindsNothingWrongWithWhatMustBeShown) {
  Story story;
  story.Put(1, {}).Put(2, {1}).Blind(3);
  EXPECT_EQ(story.Read(15, {1}), "");
  EXPECT_EQ(story.Read(25, {2}), "");
  EXPECT_EQ(story.Read(35, {2, 3}), "");
}

TEST(History, FindsAnAcknowledgedWriteThatIsLost) {
  Story story;
  story.Put(1, {});
  EXPECT_TRUE(Says(story.Read(15, {}), "lost: acknowledged event 1"));
}

// Write 1 is acknowledged at second 11 and lives for 30.
TEST(History, FindsAValueThatIsLostBeforeItsTime) {
  Story story;
  story.Lives(1, 30);
  EXPECT_TRUE(Says(story.Read(30, {}), "lost: acknowledged event 1"));
  EXPECT_EQ(story.Read(30, {1}), "");
  EXPECT_EQ(story.Read(38, {}), "") << "within the skew";
  EXPECT_EQ(story.Read(50, {}), "");
  EXPECT_EQ(story.Settled({}), "");
}

TEST(History, FindsAValueThatIsShownAfterItsTime) {
  Story story;
  story.Lives(1, 30);
  EXPECT_EQ(story.Expired(40, {1}), "");
  EXPECT_EQ(story.Expired(44, {1}), "") << "within the skew";
  EXPECT_TRUE(Says(story.Expired(46, {1}), "event 1 is shown though its time had come"));
}

TEST(History, GivesValuesOfATableItsTimeToLive) {
  Story story;
  story.history().SetExpiry(Duration::Seconds(30), nullptr);
  story.Blind(1).Lives(2, 90);
  EXPECT_EQ(story.Read(50, {2}), "");
  EXPECT_TRUE(Says(story.Expired(50, {1, 2}), "event 1 is shown"));
}

TEST(History, FindsAValueThatComesBackWhenWhatReplacedItHasExpired) {
  Story story;
  story.Put(1, {}).history().SetExpiry(Duration::Seconds(5), nullptr);
  story.Put(2, {1});
  EXPECT_EQ(story.Read(50, {}), "");
  EXPECT_TRUE(Says(story.Read(50, {1}), "came back: event 1"));
}

TEST(History, ExcusesWhatTheTimesOfNodesWereApartBy) {
  Story story;
  story.history().SetExpiry(Duration(), [] { return Duration::Seconds(20); });
  story.Lives(1, 30);
  EXPECT_EQ(story.Read(20, {}), "");
  EXPECT_TRUE(Says(story.Read(13, {}), "lost: acknowledged event 1"));
  EXPECT_EQ(story.Expired(64, {1}), "");
  EXPECT_TRUE(Says(story.Expired(66, {1}), "event 1 is shown"));
}

TEST(History, FindsOneOfTwoConcurrentWritesThatCollapsed) {
  Story story;
  story.Put(1, {}).Put(2, {});
  EXPECT_TRUE(Says(story.Read(25, {2}), "lost: acknowledged event 1"));
  EXPECT_EQ(story.Read(25, {1, 2}), "");
}

TEST(History, FindsALostWriteWhoseReplacementIsLostToo) {
  Story story;
  story.Put(1, {}).Put(2, {1});
  EXPECT_TRUE(Says(story.Read(25, {}), "lost"));
}

TEST(History, AWriteIsAccountedForByAChainOfReplacements) {
  Story story;
  story.Put(1, {}).Put(2, {1}).Put(3, {2});
  EXPECT_EQ(story.Read(35, {3}), "");
}

TEST(History, AReplacementThatMayHaveTakenEffectAccountsForItsParents) {
  Story story;
  story.Put(1, {}).Put(2, {1}, Kind::kUnknown);
  EXPECT_EQ(story.Read(35, {2}), "");
  EXPECT_EQ(story.Read(35, {1}), "") << "nor need it have taken effect";
}

TEST(History, ADeleteAccountsForItsParentsWithoutBeingShown) {
  Story story;
  story.Put(1, {}).Delete(2, {1});
  EXPECT_EQ(story.Read(25, {}), "");
}

TEST(History, ADeleteDoesNotAccountForWhatItDidNotKnow) {
  Story story;
  story.Put(1, {}).Put(2, {}).Delete(3, {2});
  EXPECT_TRUE(Says(story.Read(35, {}), "lost: acknowledged event 1"));
}

TEST(History, ADeleteThatWasAskedForAfterTheReadAccountsForNothing) {
  Story story;
  story.Put(1, {}).Delete(5, {1});
  EXPECT_TRUE(Says(story.Read(15, {}), "lost"));
}

TEST(History, ARefusedDeleteAccountsForNothing) {
  Story story;
  story.Put(1, {}).Delete(2, {1}, Kind::kFailed);
  EXPECT_TRUE(Says(story.Read(25, {}), "lost"));
}

TEST(History, FindsADeletedValueThatCameBack) {
  Story story;
  story.Put(1, {}).Delete(2, {1});
  EXPECT_TRUE(Says(story.Read(25, {1}), "came back: event 1"));
}

TEST(History, FindsAnOverwrittenValueThatCameBack) {
  Story story;
  story.Put(1, {}).Put(2, {1}).Put(3, {2});
  EXPECT_TRUE(Says(story.Read(35, {1}), "came back: event 1"));
}

TEST(History, AReadThatBeganBeforeTheReplacementEndedMayShowEither) {
  Story story;
  story.Put(1, {}).Put(2, {1});
  EXPECT_EQ(story.Read(20, {1}), "");
  EXPECT_EQ(story.Read(20, {2}), "");
}

TEST(History, FindsAFalseSibling) {
  Story story;
  story.Put(1, {}).Put(2, {1});
  EXPECT_TRUE(Says(story.Read(20, {1, 2}), "false sibling: event 1 beside 2"));
}

TEST(History, FindsAFalseSiblingOverManySteps) {
  Story story;
  story.Put(1, {}).Put(2, {1}, Kind::kUnknown).Put(3, {2});
  EXPECT_TRUE(Says(story.Read(30, {1, 3}), "false sibling"));
}

TEST(History, FindsAValueThatNobodyWrote) {
  Story story;
  EXPECT_TRUE(Says(story.Read(5, {7}), "nobody wrote"));
  story.Put(1, {});
  EXPECT_TRUE(Says(story.Read(15, {1, 7}), "nobody wrote"));
}

TEST(History, FindsARefusedWriteThatTookEffect) {
  Story story;
  story.Put(1, {}, Kind::kFailed);
  EXPECT_TRUE(Says(story.Read(15, {1}), "refused and yet took effect"));
}

TEST(History, APutWithoutAContextMayHaveReplacedWhatWasAskedForBeforeItEnded) {
  Story story;
  story.Put(1, {}).Default(2);
  EXPECT_EQ(story.Read(25, {2}), "");
  EXPECT_EQ(story.Read(25, {1, 2}), "") << "nor need it have known it";
}

TEST(History, APutWithoutAContextDidNotReplaceWhatCameAfterIt) {
  Story story;
  story.Default(1).Put(2, {});
  EXPECT_TRUE(Says(story.Read(25, {1}), "lost: acknowledged event 2"));
}

TEST(History, ABlindPutReplacesNothing) {
  Story story;
  story.Put(1, {}).Blind(2);
  EXPECT_TRUE(Says(story.Read(25, {2}), "lost: acknowledged event 1"));
}

TEST(History, AWriteThatWasMintedTwiceMayStandBesideWhatReplacedIt) {
  Story story;
  story.Put(1, {}).Put(2, {1});
  story.history().OnMintedAgain(kItem, 1);
  EXPECT_EQ(story.Read(25, {1, 2}), "");
  EXPECT_TRUE(Says(story.Read(25, {1}), "lost: acknowledged event 2"));
}

TEST(History, APutWithoutAContextThatWasMintedTwiceHasNotTakenLaterWritesAlong) {
  Story story;
  story.Default(1).Put(2, {});
  story.history().OnMintedAgain(kItem, 1);
  EXPECT_TRUE(Says(story.Read(25, {1}), "lost: acknowledged event 2"));
}

TEST(History, WhereMintsAreUnseenAWriteThatWasNotSentOnceMayHaveBeenMintedTwice) {
  Story story;
  story.history().OnMintsUnseen();
  story.SentOnce(false).Put(1, {}).SentOnce(true).Put(2, {1}).Put(3, {2});
  EXPECT_EQ(story.Read(35, {1, 3}), "") << "1 was retried";
  EXPECT_TRUE(Says(story.Read(35, {2, 3}), "false sibling: event 2")) << "2 was sent once";
  EXPECT_TRUE(Says(story.Read(35, {1}), "lost: acknowledged event 2"));
}

TEST(History, SaysWhatTheStoreIsAccusedOf) {
  Story story;
  story.Put(1, {}).Put(2, {1}).Put(3, {}, Kind::kFailed);
  EXPECT_EQ(BreachOf(story.Read(35, {})), Breach::kLost);
  EXPECT_EQ(BreachOf(story.Read(35, {1})), Breach::kResurrected);
  EXPECT_EQ(BreachOf(story.Read(35, {2, 3})), Breach::kResurrected) << "3 was refused";
  EXPECT_EQ(BreachOf(story.Read(35, {1, 2})), Breach::kFalseSibling);
  EXPECT_EQ(BreachOf(story.Read(35, {2, 9})), Breach::kOther) << "nobody wrote 9";
  EXPECT_EQ(BreachOf("key: one write shows twice"), Breach::kFalseSibling);
}

// ---- power cuts that take what was not synced

TEST(History, APowerCutExcusesAWriteFromReadsButNotForGood) {
  Story story;
  story.Put(1, {});
  story.history().OnPowerCut(0, At(5), At(12));
  EXPECT_EQ(story.Read(15, {}), "");
  EXPECT_TRUE(Says(story.Settled({}), "lost: acknowledged event 1")) << "another node had it too";
  story.history().OnPowerCut(0, At(5), At(13));
  EXPECT_TRUE(Says(story.Settled({}), "lost: acknowledged event 1")) << "the same node";
  story.history().OnPowerCut(1, At(5), At(14));
  EXPECT_EQ(story.Settled({}), "");
}

TEST(History, APowerCutExcusesNothingThatWasSyncedOrCameLater) {
  Story story;
  story.Put(1, {});
  story.history().OnPowerCut(0, At(11), At(12));
  story.Put(2, {1});
  EXPECT_TRUE(Says(story.Read(15, {}), "lost: acknowledged event 1"));
  EXPECT_TRUE(Says(story.Read(25, {1}), "came back: event 1"));
}

TEST(History, WhatALostWriteHadReplacedMayComeBack) {
  Story story;
  story.Put(1, {}).Delete(2, {1});
  story.history().OnPowerCut(0, At(15), At(22));
  EXPECT_EQ(story.Read(25, {1}), "");
  EXPECT_TRUE(Says(story.Settled({1}), "came back: event 1"));
}

// ---- where the last write wins

constexpr ConflictPolicy kLast = ConflictPolicy::kLastWriteWins;

TEST(History, TheLastWriteIsShownAlone) {
  Story story(kLast);
  story.Blind(1).Blind(2).Put(3, {2});
  EXPECT_EQ(story.Read(35, {3}), "");
  EXPECT_TRUE(Says(story.Read(35, {2, 3}), "more than the last"));
}

TEST(History, FindsALastWriteThatIsLost) {
  Story story(kLast);
  story.Blind(1).Blind(2, Kind::kUnknown);
  EXPECT_TRUE(Says(story.Read(25, {}), "lost: acknowledged event 1"));
  story.history().OnClocksApart();
  EXPECT_TRUE(Says(story.Read(25, {}), "lost: acknowledged event 1"));
}

TEST(History, FindsAnOlderWriteThatWonWhileAllClocksWereEqual) {
  Story story(kLast);
  story.Blind(1).Blind(2);
  EXPECT_TRUE(Says(story.Read(25, {1}), "lost: acknowledged event 2"));
  EXPECT_EQ(story.Read(20, {1}), "") << "the later one need not be there yet";
  story.history().OnClocksApart();
  EXPECT_EQ(story.Read(25, {1}), "") << "its stamp may be the greater";
}

TEST(History, AWriteWhoseEndNobodyKnowsMayBeTheLast) {
  Story story(kLast);
  story.Blind(1, Kind::kUnknown).Blind(2);
  EXPECT_EQ(story.Read(25, {1}), "");
  EXPECT_EQ(story.Read(25, {2}), "");
}

TEST(History, FindsAValueThatTheLastWriteHadReplacedByItsContextWhateverTheClocks) {
  Story story(kLast);
  story.Blind(1).Put(2, {1});
  story.history().OnClocksApart();
  EXPECT_TRUE(Says(story.Read(25, {1}), "came back: event 1"));
}

TEST(History, ADeleteMayHaveRemovedTheLastWriteUnlessItEndedBefore) {
  Story story(kLast);
  story.Blind(1).Delete(2, {});
  EXPECT_EQ(story.Read(25, {}), "");
  EXPECT_EQ(story.Read(25, {1}), "") << "nor need it have known it";
  story.Blind(3);
  EXPECT_TRUE(Says(story.Read(35, {}), "lost: acknowledged event 3"));
}

TEST(History, AWriteThatWasMintedTwiceMayBeTheLastOrHaveTakenTheLastAlong) {
  Story story(kLast);
  story.Blind(1).Blind(2);
  story.history().OnMintedAgain(kItem, 1);
  EXPECT_EQ(story.Read(25, {1}), "");
  EXPECT_EQ(story.Read(25, {}), "");
}

TEST(History, AReplicaOfALastWriteWinsTableHoldsWhatItClaimsOrWhatMayHaveReplacedIt) {
  Story story(kLast);
  story.Blind(1).Blind(2);
  EXPECT_EQ(story.Replica({1, 2}, {1, 2}), "") << "written through two owners";
  EXPECT_EQ(story.Replica({1, 2}, {2}), "");
  EXPECT_TRUE(Says(story.Replica({1, 2}, {1}), "event 2 is claimed"));
  EXPECT_TRUE(Says(story.Replica({1}, {}), "event 1 is claimed"));
}

// ---- what a replica claims

TEST(History, AReplicaMayClaimWhatItShowsOrWhatThatReplaced) {
  Story story;
  story.Put(1, {}).Put(2, {1}).Delete(3, {2});
  EXPECT_EQ(story.Replica({1}, {1}), "");
  EXPECT_EQ(story.Replica({1, 2}, {2}), "");
  EXPECT_EQ(story.Replica({2}, {2}), "") << "it need not have seen the first";
  EXPECT_EQ(story.Replica({}, {}), "");
}

TEST(History, FindsAReplicaThatClaimsWhatItLacks) {
  Story story;
  story.Put(1, {}).Put(2, {});
  EXPECT_TRUE(Says(story.Replica({1, 2}, {2}), "event 1 is claimed"));
}

TEST(History, FindsAReplicaThatShowsWhatItClaimsWasReplaced) {
  Story story;
  story.Put(1, {}).Put(2, {1});
  EXPECT_TRUE(Says(story.Replica({1, 2}, {1, 2}), "event 1 is shown although event 2"));
  EXPECT_TRUE(Says(story.Replica({1, 2}, {1}), "event 1 is shown although event 2"));
}

TEST(History, FindsAReplicaThatShowsWhatADeleteThatItClaimsRemoved) {
  Story story;
  story.Put(1, {}).Delete(2, {1});
  EXPECT_TRUE(Says(story.Replica({1, 2}, {1}), "event 1 is shown although event 2"));
}

// ---- values

TEST(History, AValueCarriesItsEvent) {
  for (EventId event : {EventId{1}, EventId{255}, EventId{1} << 40, ~EventId{0}}) {
    for (size_t bytes : {size_t{0}, size_t{8}, size_t{100}}) {
      EXPECT_EQ(History::EventOf(History::ValueOf(event, bytes)), event);
    }
  }
  EXPECT_EQ(History::ValueOf(1, 100).size(), 100u);
  EXPECT_EQ(History::EventOf("short"), 0u);
}

}  // namespace
}  // namespace gyre
