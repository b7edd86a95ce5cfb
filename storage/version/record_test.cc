#include "storage/version/record.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace gyre {
namespace {

constexpr ReplicaId kA{1};
constexpr ReplicaId kB{2};
constexpr ReplicaId kC{3};

Version Of(const Dot& dot, std::string value, uint64_t stamp = 0) {
  return {dot, stamp, std::move(value)};
}

// Record of the given versions; the context covers them and `more`.
Record Make(std::vector<Version> versions, const VersionVector& more = {}) {
  Record record{std::move(versions), more};
  for (const Version& version : record.versions) record.context.RaiseTo(version.dot);
  return record;
}

// --- Reachable records: what three replicas and their clients come to hold of one key -----------

struct Action {
  enum Kind { kPut, kDelete, kElsewhere, kReplicate, kExchange, kRead };
  Kind kind = kPut;
  int replica = 0;
  int peer = 0;        // another replica
  int client = 0;      // 0 to 2; a write uses what this client read last
  uint64_t stamp = 0;  // 0 now and then, so that tables with and without stamps mix
};

std::ostream& operator<<(std::ostream& os, const Action& action) {
  static constexpr const char* kNames[] = {"put",       "delete",   "elsewhere",
                                           "replicate", "exchange", "read"};
  return os << kNames[action.kind] << " replica " << action.replica << " peer " << action.peer
            << " client " << action.client << " stamp " << action.stamp;
}

rc::Gen<std::vector<Action>> Actions() {
  using Kind = Action::Kind;
  return rc::gen::container<std::vector<Action>>(rc::gen::build<Action>(
      rc::gen::set(&Action::kind, rc::gen::weightedElement<Kind>({{4, Action::kPut},
                                                                  {2, Action::kDelete},
                                                                  {1, Action::kElsewhere},
                                                                  {4, Action::kReplicate},
                                                                  {2, Action::kExchange},
                                                                  {3, Action::kRead}})),
      rc::gen::set(&Action::replica, rc::gen::inRange(0, 3)),
      rc::gen::set(&Action::peer, rc::gen::inRange(0, 3)),
      rc::gen::set(&Action::client, rc::gen::inRange(0, 3)),
      rc::gen::set(&Action::stamp, rc::gen::inRange<uint64_t>(0, 4))));
}

struct Write {
  Dot dot;
  bool put = false;
  VersionVector context;  // what its client had read
  uint64_t past = 0;      // the reference: a bit for each write that it overwrites
  Record sent;            // filled, as it goes to the other replicas
  uint64_t history = 0;   // the reference of `sent`
};

class Trio {
 public:
  void Play(const std::vector<Action>& actions) {
    for (const Action& action : actions) Do(action);
  }

  const std::vector<Record>& seen() const { return seen_; }  // every filled record that came to be
  const std::vector<Write>& writes() const { return writes_; }
  const PartitionClock& clock(int replica) const { return replicas_[replica].clock; }
  const Record& stored(int replica) const { return replicas_[replica].stored; }
  uint64_t history(int replica) const { return replicas_[replica].history; }

  Record Filled(int replica) const {
    Record record = stored(replica);
    Fill(&record, clock(replica));
    return record;
  }

  // The dots of the writes in `history` that no other one there overwrites.
  std::vector<Dot> Maximal(uint64_t history) const {
    std::vector<Dot> dots;
    for (size_t i = 0; i < writes_.size(); ++i) {
      if ((history >> i & 1) == 0 || !writes_[i].put) continue;
      bool overwritten = false;
      for (size_t j = 0; j < writes_.size(); ++j) {
        overwritten |= (history >> j & 1) != 0 && (writes_[j].past >> i & 1) != 0;
      }
      if (!overwritten) dots.push_back(writes_[i].dot);
    }
    std::sort(dots.begin(), dots.end());
    return dots;
  }

 private:
  struct Replica {
    Record stored;
    PartitionClock clock;
    uint64_t counter = 0;
    uint64_t history = 0;
  };
  struct Client {
    VersionVector context;
    uint64_t history = 0;
  };

  void Do(const Action& action) {
    switch (action.kind) {
      case Action::kPut:
      case Action::kDelete:
        return DoWrite(action);
      case Action::kElsewhere:
        replicas_[action.replica].clock.Add(
            {Id(action.replica), ++replicas_[action.replica].counter});
        return;
      case Action::kReplicate:
        if (writes_.empty()) return;
        return Deliver(writes_[action.stamp * 7 % writes_.size()], action.peer);
      case Action::kExchange: {
        Take(action.peer, Filled(action.replica), history(action.replica));
        replicas_[action.peer].clock.JoinAll(clock(action.replica));
        return;
      }
      case Action::kRead:
        clients_[action.client] = {Filled(action.replica).context, history(action.replica)};
    }
  }

  void DoWrite(const Action& action) {
    if (writes_.size() == 64) return;
    Replica& replica = replicas_[action.replica];
    const Client& client = clients_[action.client];
    Record record = Filled(action.replica);
    Discard(&record, client.context);
    const Dot dot{Id(action.replica), ++replica.counter};
    const bool put = action.kind == Action::kPut;
    if (put) {
      AddVersion(&record, Of(dot, "v" + std::to_string(writes_.size()), action.stamp));
    } else {
      record.context.RaiseTo(dot);
    }
    const uint64_t bit = uint64_t{1} << writes_.size();
    replica.clock.Add(dot);
    replica.history |= client.history | bit;
    writes_.push_back({dot, put, client.context, client.history, record, replica.history});
    Store(action.replica, std::move(record));
  }

  void Deliver(const Write& write, int to) {
    Take(to, write.sent, write.history);
    replicas_[to].clock.Add(write.dot);
  }

  void Take(int to, const Record& record, uint64_t history) {
    replicas_[to].history |= history;
    Store(to, Sync(Filled(to), record));
  }

  void Store(int at, Record record) {
    seen_.push_back(record);
    Strip(&record, clock(at));
    replicas_[at].stored = Erasable(record) ? Record() : std::move(record);
  }

  static ReplicaId Id(int replica) { return ReplicaId(static_cast<uint64_t>(replica) + 1); }

  std::array<Replica, 3> replicas_;
  std::array<Client, 3> clients_;
  std::vector<Write> writes_;
  std::vector<Record> seen_{Record()};
};

Trio Played() {
  Trio trio;
  trio.Play(*Actions());
  return trio;
}

Record AnyOf(const std::vector<Record>& records) { return *rc::gen::elementOf(records); }

std::vector<Dot> Dots(const Record& record) {
  std::vector<Dot> dots;
  for (const Version& version : record.versions) dots.push_back(version.dot);
  return dots;
}

// --- The properties -----------------------------------------------------------------------------

TEST(Sync, IsCommutative) {
  EXPECT_TRUE(rc::check("a + b = b + a", [] {
    const Trio trio = Played();
    const Record a = AnyOf(trio.seen());
    const Record b = AnyOf(trio.seen());
    RC_ASSERT(Sync(a, b) == Sync(b, a));
  }));
}

TEST(Sync, IsAssociative) {
  EXPECT_TRUE(rc::check("(a + b) + c = a + (b + c)", [] {
    const Trio trio = Played();
    const Record a = AnyOf(trio.seen());
    const Record b = AnyOf(trio.seen());
    const Record c = AnyOf(trio.seen());
    RC_ASSERT(Sync(Sync(a, b), c) == Sync(a, Sync(b, c)));
  }));
}

TEST(Sync, IsIdempotent) {
  EXPECT_TRUE(rc::check("a + a = a, and (a + b) + b = a + b", [] {
    const Trio trio = Played();
    const Record a = AnyOf(trio.seen());
    const Record b = AnyOf(trio.seen());
    RC_ASSERT(Sync(a, a) == a);
    const Record merged = Sync(a, b);
    RC_ASSERT(Sync(merged, b) == merged);
  }));
}

TEST(Sync, LosesNoConcurrentWriteAndRevivesNone) {
  EXPECT_TRUE(rc::check("what is shown is what no one overwrote", [] {
    const Trio trio = Played();
    for (int replica = 0; replica < 3; ++replica) {
      RC_ASSERT(Dots(trio.stored(replica)) == trio.Maximal(trio.history(replica)));
    }
    Record all;
    uint64_t history = 0;
    for (int replica = 0; replica < 3; ++replica) {
      all = Sync(std::move(all), trio.Filled(replica));
      history |= trio.history(replica);
    }
    for (const Write& write : trio.writes()) {
      all = Sync(std::move(all), write.sent);
      history |= write.history;
    }
    RC_ASSERT(Dots(all) == trio.Maximal(history));
  }));
}

TEST(Sync, NeverReturnsAVersionThatWasReadAndOverwritten) {
  EXPECT_TRUE(rc::check("covered by the write's context, gone for ever", [] {
    const Trio trio = Played();
    RC_PRE(!trio.writes().empty());
    const Write write = *rc::gen::elementOf(trio.writes());
    const Record merged = Sync(write.sent, AnyOf(trio.seen()));
    for (const Version& version : merged.versions) {
      RC_ASSERT(!write.context.Covers(version.dot));
    }
  }));
}

TEST(Sync, KeepsTheContextOverItsOwnVersions) {
  EXPECT_TRUE(rc::check("filled contexts cover", [] {
    const Trio trio = Played();
    const Record merged = Sync(AnyOf(trio.seen()), AnyOf(trio.seen()));
    for (const Version& version : merged.versions) {
      RC_ASSERT(merged.context.Covers(version.dot));
    }
  }));
}

TEST(Strip, LosesNothingThatFillDoesNotBringBack) {
  EXPECT_TRUE(rc::check("fill(strip(r)) = fill(r), with this clock and with any later one", [] {
    const Trio trio = Played();
    const Record record = AnyOf(trio.seen());
    const int replica = *rc::gen::inRange(0, 3);
    PartitionClock later = trio.clock(replica);
    Record stripped = record;
    Strip(&stripped, later);
    for (int grown = 0; grown < 2; ++grown) {
      Record expected = record;
      Fill(&expected, later);
      Record refilled = stripped;
      Fill(&refilled, later);
      RC_ASSERT(refilled == expected);
      later.JoinAll(trio.clock((replica + 1) % 3));
    }
  }));
}

// --- Examples -----------------------------------------------------------------------------------

TEST(Sync, KeepsConcurrentVersionsSortedByDot) {
  const Record merged = Sync(Make({Of({kB, 1}, "y")}), Make({Of({kA, 1}, "x")}));
  EXPECT_EQ(merged, Make({Of({kA, 1}, "x"), Of({kB, 1}, "y")}));
}

TEST(Sync, DropsAVersionThatTheOtherSideOverwrote) {
  const Record old = Make({Of({kA, 1}, "old")});
  const Record overwritten = Make({Of({kB, 1}, "new")}, {{kA, 1}});
  EXPECT_EQ(Sync(old, overwritten), overwritten);
}

TEST(Sync, DropsAVersionThatTheOtherSideDeleted) {
  const Record deleted = Make({}, {{kA, 1}, {kB, 1}});
  EXPECT_EQ(Sync(Make({Of({kA, 1}, "old")}), deleted), deleted);
}

TEST(Sync, MovesValuesInsteadOfCopyingThem) {
  Record a = Make({Of({kA, 1}, std::string(1000, 'a'))});
  Record b = Make({Of({kB, 1}, std::string(1000, 'b'))});
  const char* const in_a = a.versions[0].value.view().data();
  const char* const in_b = b.versions[0].value.view().data();
  const Record merged = Sync(std::move(a), std::move(b));
  EXPECT_EQ(merged.versions[0].value.view().data(), in_a);
  EXPECT_EQ(merged.versions[1].value.view().data(), in_b);
}

TEST(Strip, LeavesOneDotAndNoContextOnceTheClockHasSettled) {
  PartitionClock clock;
  clock.JoinBases(VersionVector{{kA, 4}, {kB, 9}});
  Record record = Make({Of({kA, 3}, "x")}, {{kA, 4}, {kB, 7}});
  Strip(&record, clock);
  EXPECT_TRUE(record.context.empty());
  EXPECT_EQ(record.versions.size(), 1u);
}

TEST(Strip, KeepsAnEntryAboveTheBaseEvenWhenItsDotIsInTheBitmap) {
  PartitionClock clock;
  clock.Add({kA, 5});
  Record record = Make({Of({kA, 5}, "x")});
  Strip(&record, clock);
  EXPECT_EQ(record.context, (VersionVector{{kA, 5}}));
}

TEST(Erasable, IsADeletedRecordThatTheClockExplains) {
  PartitionClock clock;
  clock.Add({kA, 1});
  Record deleted = Make({}, {{kA, 2}});
  Strip(&deleted, clock);
  EXPECT_FALSE(Erasable(deleted));
  clock.Add({kA, 2});
  Strip(&deleted, clock);
  EXPECT_TRUE(Erasable(deleted));
}

Version Expiring(const Dot& dot, uint64_t expires_ms) { return {dot, 0, "x", expires_ms}; }

TEST(DropExpired, DropsWhatHasExpiredByThenAndKeepsItCovered) {
  Record record = Make({Expiring({kA, 1}, 100), Expiring({kA, 2}, 101), Of({kB, 1}, "for ever")});
  const VersionVector before = record.context;
  EXPECT_TRUE(Expires(record));
  EXPECT_EQ(DropExpired(&record, 99), 0u);
  EXPECT_EQ(DropExpired(&record, 100), 1u);
  EXPECT_EQ(record.versions.front().dot, (Dot{kA, 2}));
  EXPECT_EQ(DropExpired(&record, UINT64_MAX), 1u);
  EXPECT_EQ(record.versions.size(), 1u);
  EXPECT_FALSE(Expires(record));
  EXPECT_EQ(record.context, before);
}

TEST(DropExpired, ComesToTheSameAtWhicheverOwnerAndWheneverTheyMerge) {
  const Record both = Make({Expiring({kA, 1}, 100), Of({kB, 1}, "beside")});
  Record dropped = both;
  DropExpired(&dropped, 100);
  EXPECT_EQ(Sync(dropped, both), dropped);
  EXPECT_EQ(Sync(both, dropped), dropped);
  Record merged = Sync(both, both);
  DropExpired(&merged, 100);
  EXPECT_EQ(merged, dropped);
}

TEST(Discard, DropsOnlyWhatTheContextCovers) {
  Record record = Make({Of({kA, 1}, "read"), Of({kB, 1}, "not read")});
  Discard(&record, VersionVector{{kA, 1}, {kC, 7}});
  EXPECT_EQ(record, Make({Of({kB, 1}, "not read")}, {{kA, 1}, {kC, 7}}));
}

TEST(SeenByWriter, IsAllThatIsCoveredWhereNothingElseStands) {
  const Record record = Make({Of({kA, 5}, "own")}, {{kB, 9}});
  EXPECT_EQ(SeenByWriter(record, {kA, 5}, {}), (CausalContext{{{kA, 5}, {kB, 9}}, {}}));
  EXPECT_EQ(SeenByWriter(Make({}, {{kA, 5}, {kB, 9}}), {kA, 5}, {}).vector,
            (VersionVector{{kA, 5}, {kB, 9}}));
}

TEST(SeenByWriter, LeavesOutTheSiblingsThatStand) {
  const Record record = Make({Of({kA, 5}, "own"), Of({kB, 9}, "not seen")});
  EXPECT_EQ(SeenByWriter(record, {kA, 5}, {{kA, 4}, {kB, 7}}),
            (CausalContext{{{kA, 5}, {kB, 7}}, {}}));
}

// The dots between may be of versions that the sibling replaced: where the sibling has not arrived,
// they still stand, and the writer has seen neither.
TEST(SeenByWriter, LeavesOutWhatTheSiblingsMayHaveReplaced) {
  const Record record = Make({Of({kA, 5}, "own"), Of({kB, 9}, "not seen")});
  EXPECT_EQ(SeenByWriter(record, {kA, 5}, {{kA, 3}, {kB, 7}}),
            (CausalContext{{{kA, 3}, {kB, 7}}, {kA, 5}}));
}

TEST(AddVersion, KeepsVersionsSorted) {
  Record record = Make({Of({kA, 1}, "x"), Of({kC, 1}, "z")});
  AddVersion(&record, Of({kB, 1}, "y"));
  EXPECT_EQ(record, Make({Of({kA, 1}, "x"), Of({kB, 1}, "y"), Of({kC, 1}, "z")}));
}

TEST(AddVersionDeathTest, StopsAtADotThatWasMintedBefore) {
  Record record = Make({}, {{kA, 3}});
  EXPECT_DEATH(AddVersion(&record, Of({kA, 3}, "x")), "reflects already");
}

TEST(KeepLast, ShowsTheVersionWithTheGreatestStampThenDot) {
  Record record = Make({Of({kA, 1}, "x", 5), Of({kB, 1}, "y", 7), Of({kC, 1}, "z", 7)});
  EXPECT_EQ(GreatestStamp(record), 7u);
  KeepLast(&record);
  EXPECT_EQ(record, Make({Of({kC, 1}, "z", 7)}, {{kA, 1}, {kB, 1}}));
}

TEST(KeepLast, LeavesSiblingsOfTablesWithoutStamps) {
  const Record siblings = Make({Of({kA, 1}, "x"), Of({kB, 1}, "y")});
  Record shown = siblings;
  KeepLast(&shown);
  EXPECT_EQ(shown, siblings);
}

TEST(KeepLast, ShowsTheSameWhateverTheOrderOfTheMerges) {
  EXPECT_TRUE(rc::check("shown(a + b + c) does not depend on order", [] {
    const Trio trio = Played();
    const Record a = AnyOf(trio.seen());
    const Record b = AnyOf(trio.seen());
    const Record c = AnyOf(trio.seen());
    Record one = Sync(Sync(a, b), c);
    Record other = Sync(c, Sync(b, a));
    KeepLast(&one);
    KeepLast(&other);
    RC_ASSERT(one == other);
    Record again = one;
    KeepLast(&again);
    RC_ASSERT(again == one);
    const auto stamped = std::count_if(one.versions.begin(), one.versions.end(),
                                       [](const Version& version) { return version.stamp != 0; });
    RC_ASSERT(stamped <= 1);
  }));
}

// Why KeepLast is for showing only. x and y are concurrent, the delete knew y alone.
TEST(KeepLast, InsideAMergeWouldMakeTheResultDependOnTheOrder) {
  const auto sync_last = [](Record a, Record b) {
    Record merged = Sync(std::move(a), std::move(b));
    KeepLast(&merged);
    return merged;
  };
  const Record x = Make({Of({kA, 1}, "x", 5)});
  const Record y = Make({Of({kB, 1}, "y", 7)});
  const Record deleted = Make({}, {{kB, 1}, {kC, 1}});
  EXPECT_NE(sync_last(sync_last(x, y), deleted), sync_last(x, sync_last(y, deleted)));
  EXPECT_EQ(Sync(Sync(x, y), deleted), Sync(x, Sync(y, deleted)));
}

}  // namespace
}  // namespace gyre
