#include "api/peer_translation.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>

#include "storage/version/version_codec.h"

namespace gyre {
namespace {

// ------------------------------------------------------------------------------------- generators

template <typename T>
T In(T least, T most) {
  return *rc::gen::inRange<T>(least, most + 1);
}
bool Flag() { return *rc::gen::arbitrary<bool>(); }
std::string Bytes(int least, int most) {
  return *rc::gen::container<std::string>(In(least, most), rc::gen::arbitrary<char>());
}
uint64_t Word() { return *rc::gen::arbitrary<uint64_t>(); }

Dot AnyDot() { return {ReplicaId(Word() | 1), In<uint64_t>(1, 1 << 20)}; }

VersionVector AnyVector() {
  VersionVector vector;
  for (int i = In(0, 4); i > 0; --i) vector.RaiseTo(AnyDot());
  return vector;
}

PartitionClock AnyClock() {
  PartitionClock clock;
  for (int i = In(0, 6); i > 0; --i) clock.Add(AnyDot());
  clock.JoinBases(AnyVector());
  return clock;
}

Minted AnyMinted() {
  Minted minted{AnyDot(), {}, 0};
  if (Flag()) {
    minted.write = {Word() | 1, Word()};
    minted.attempt = In<uint32_t>(0, 1 << 30);
  }
  return minted;
}

CausalContext AnyContext() { return {AnyVector(), Flag() ? AnyDot() : Dot()}; }

PartitionId AnyPartition() { return PartitionId(In(1, kMaxReplicas), In<uint32_t>(0, 65535)); }

ItemKey AnyItem(PartitionId partition) {
  return {partition, TableId(In<uint16_t>(1, 60000)), Bytes(1, 20)};
}

ExplainedRecord AnyRecord(PartitionId partition) {
  Record record;
  record.context = AnyVector();
  const bool stamped = Flag();
  for (int i = In(0, 3); i > 0; --i) {
    const Dot dot = AnyDot();
    if (record.context.Covers(dot)) continue;
    AddVersion(&record, {dot, stamped ? Word() | 1 : 0, Bytes(0, 40)});
  }
  ExplainedRecord explained{AnyItem(partition), std::make_shared<const Record>(record), {}};
  for (int i = In(0, 3); i > 0; --i) explained.minted.push_back(AnyMinted());
  return explained;
}

Outcome AnyOutcome() {
  Outcome outcome;
  outcome.code = static_cast<Outcome::Code>(In(0, static_cast<int>(Outcome::Code::kFilling)));
  outcome.context = AnyContext();
  outcome.needed = In(0, kMaxReplicas);
  outcome.answered = In(0, kMaxReplicas);
  outcome.stand_ins = In(0, outcome.answered);
  outcome.outcome_unknown = Flag();
  outcome.repair_sent = Flag();
  outcome.epoch = Epoch(Word());
  outcome.coordinator = NodeId(Word());
  for (int i = In(0, 5); i > 0; --i) {
    outcome.parts.push_back({NodeId(Word()), static_cast<Part>(In(1, 8)),
                             Duration::Micros(In<int64_t>(0, 1 << 30)), NodeId(Word())});
  }
  return outcome;
}

WriteRequest AnyWrite(PartitionId partition) {
  WriteRequest request;
  request.item = AnyItem(partition);
  request.intent.kind = Flag() ? WriteKind::kPut : WriteKind::kDelete;
  request.intent.mode = Flag() ? WriteMode::kDefault : WriteMode::kBlind;
  request.intent.value = Bytes(0, 50);
  if (Flag()) request.intent.context = AnyContext();
  if (Flag()) request.intent.write = {Word() | 1, Word()};
  request.intent.attempt = In<uint32_t>(0, 1 << 30);
  request.intent.conflict = Flag() ? ConflictPolicy::kSiblings : ConflictPolicy::kLastWriteWins;
  request.intent.durability = Flag() ? Durability::kFsync : Durability::kPeriodic;
  request.needed = In(1, kMaxReplicas);
  request.timeout = Duration::Micros(In<int64_t>(0, 60'000'000));
  request.explain = Flag();
  request.sloppy = Flag();
  if (Flag()) request.intent.ttl_ms = In<uint64_t>(1, kMaxTtlMs);
  return request;
}

MembershipMessage AnyMembership() {
  MembershipMessage message;
  message.kind = static_cast<MembershipMessage::Kind>(In(0, 5));
  message.sequence = Word();
  message.about = NodeId(Word());
  message.incarnation = Word();
  message.load_version = Word();
  message.load = static_cast<Load>(In(0, 3));
  message.wall_ms = Word();
  for (int i = In(0, 5); i > 0; --i) {
    message.rumours.push_back({NodeId(Word()), static_cast<Liveness>(In(0, 2)), Word(),
                               NodeId(Word()), Word(), static_cast<Load>(In(0, 3))});
  }
  return message;
}

PeerBody AnyBody(size_t kind, PartitionId partition) {
  switch (kind) {
    case 0:
      return Apply{AnyRecord(partition), Flag() ? Durability::kFsync : Durability::kPeriodic};
    case 1:
      return ApplyReply{};
    case 2: {
      Fetch fetch{AnyItem(partition), {}, Flag(), Flag()};
      for (int i = In(0, 3); i > 0; --i) fetch.known.push_back(AnyDot());
      return fetch;
    }
    case 3: {
      FetchReply reply{AnyRecord(partition), {}};
      if (Flag()) reply.clock = AnyClock();
      for (uint32_t i = 0; i < reply.found.record->versions.size(); ++i) {
        if (Flag()) reply.left_out.push_back(i);
      }
      reply.filling = Flag();
      return reply;
    }
    case 4:
      return Lookup{AnyItem(partition), {Word() | 1, Word()}};
    case 5:
      return Flag() ? LookupReply{true, AnyRecord(partition)} : LookupReply{};
    case 6: {
      ClockAsk ask{AnyClock(), Flag() ? std::optional(AnyVector()) : std::nullopt};
      if (Flag()) ask.durable_bases = ask.clock.Bases();
      ask.count = Flag();
      if (Flag()) ask.after = {ReplicaId(Word()), Word() % kMaxCounter};
      return ask;
    }
    case 7: {
      ClockAnswer answer{{}, AnyVector(), Flag(), Flag(), Word()};
      if (Flag()) answer.missing_by_table = {{TableId(1), Word()}, {TableId(7), Word()}};
      for (int i = In(0, 3); i > 0; --i) answer.items.push_back(AnyRecord(partition));
      answer.mended = Word();
      if (Flag()) answer.upto = {ReplicaId(Word()), Word() % kMaxCounter};
      answer.filling = Flag();
      return answer;
    }
    case 8:
      return Forward{AnyWrite(partition)};
    case 9:
      return ForwardReply{AnyOutcome()};
    case 10:
      return Refused{Bytes(0, 30), Bytes(0, 30)};
    case 11:
      return RegisterAsk{{Flag() ? RegisterPhase::kPrepare : RegisterPhase::kAccept,
                          {Word(), NodeId(Word())},
                          Bytes(0, 30)},
                         Bytes(0, 30)};
    case 12:
      return RegisterAnswer{{Flag() ? RegisterPhase::kPrepare : RegisterPhase::kAccept,
                             {Word(), NodeId(Word())},
                             Flag(),
                             {Word(), NodeId(Word())},
                             {Word(), NodeId(Word())},
                             Bytes(0, 30),
                             Word()},
                            Bytes(0, 30)};
    case 13:
      return TopologyNews{Bytes(0, 30), Bytes(0, 30), static_cast<TopologyNews::Asks>(Word() % 3)};
    case 14:
      return Failed{Flag()   ? Outcome::Code::kStorageFailed
                    : Flag() ? Outcome::Code::kOverloaded
                    : Flag() ? Outcome::Code::kFilling
                             : Outcome::Code::kCorrupt};
    case 15:
      return Hint{NodeId(Word() | 1), AnyRecord(partition),
                  Flag() ? Durability::kFsync : Durability::kPeriodic, Flag()};
    case 16:
      return HintReply{};
    case 17:
      return FetchHints{AnyItem(partition)};
    case 18:
      return Handoff{AnyRecord(partition)};
    case 19: {
      CopyAsk ask{
          static_cast<CopyPart>(In(0, 2)), static_cast<uint32_t>(In(0, 9)), Bytes(0, 30), {}};
      for (int i = In(0, 3); i > 0; --i) ask.items.push_back(AnyItem(partition));
      ask.in_parts = Flag();
      return ask;
    }
    case 20: {
      CopyPage page{static_cast<CopyPart>(In(0, 2)),
                    static_cast<uint32_t>(In(0, 9)),
                    {},
                    {},
                    Bytes(0, 30),
                    Flag(),
                    AnyClock()};
      for (int i = In(0, 3); i > 0; --i) page.items.push_back(AnyRecord(partition));
      for (int i = In(0, 3); i > 0; --i) page.log.push_back({AnyItem(partition), AnyMinted()});
      for (int i = In(0, 3); i > 0; --i) page.damaged.push_back(AnyItem(partition));
      page.unread_to = Bytes(0, 30);
      if (Flag()) page.records = Word();
      return page;
    }
    case 22: {
      SliceAsk ask{Bytes(0, 30), Bytes(0, 30), Word(), {}};
      if (Flag()) ask.digest = Digest{Word(), Word()};
      return ask;
    }
    case 23: {
      SliceAnswer answer{Flag(), {}, Flag(), Bytes(0, 30)};
      for (int i = In(0, 3); i > 0; --i) {
        answer.items.push_back({AnyItem(partition), {Word(), Word()}});
      }
      return answer;
    }
    case 24:
      return Doubt{AnyItem(partition)};
    case 25: {
      MovesDue due;
      for (std::vector<MoveRef>* refs : {&due.filled, &due.ends}) {
        for (uint64_t i = Word() % 4; i > 0; --i) refs->push_back({AnyPartition(), Epoch(Word())});
      }
      return due;
    }
    default:
      return AnyMembership();
  }
}

PeerMessage AnyMessage(size_t kind) {
  const PartitionId partition = AnyPartition();
  PeerMessage message{Word(), Epoch(Word()), partition, AnyBody(kind, partition)};
  auto* const membership = std::get_if<MembershipMessage>(&message.body);
  if (membership != nullptr || std::holds_alternative<MovesDue>(message.body)) {
    message.exchange = 0;
    message.partition = PartitionId();
  }
  if (membership != nullptr) membership->epoch = message.epoch;
  return message;
}

// Bytes are compared: equal values have equal bytes, and the decoder has seen them all.
std::string ToBytes(const PeerMessage& message) {
  peer::PeerMessage wire;
  EncodePeerMessage(message, &wire);
  return wire.SerializeAsString();
}

absl::StatusOr<PeerMessage> FromBytes(const std::string& bytes) {
  peer::PeerMessage wire;
  if (!wire.ParseFromString(bytes)) return absl::DataLossError("no protobuf");
  return DecodePeerMessage(&wire);
}

// ------------------------------------------------------------------------------------------ tests

TEST(PeerTranslation, EveryMessageComesBackAsItWas) {
  EXPECT_TRUE(rc::check([] {
    const size_t kind = In<size_t>(0, std::variant_size_v<PeerBody> - 1);
    const PeerMessage message = AnyMessage(kind);
    const std::string bytes = ToBytes(message);
    const absl::StatusOr<PeerMessage> back = FromBytes(bytes);
    RC_ASSERT(back.ok());
    RC_ASSERT(back->exchange == message.exchange);
    RC_ASSERT(back->epoch == message.epoch);
    RC_ASSERT(back->partition == message.partition);
    RC_ASSERT(back->body.index() == kind);
    RC_ASSERT(ToBytes(*back) == bytes);
  }));
}

TEST(PeerTranslation, DamagedBytesGiveAnErrorOrAWholeMessageAndNeverACrash) {
  EXPECT_TRUE(rc::check([] {
    std::string bytes = ToBytes(AnyMessage(In<size_t>(0, std::variant_size_v<PeerBody> - 1)));
    for (int i = In(1, 4); i > 0 && !bytes.empty(); --i) {
      bytes[In<size_t>(0, bytes.size() - 1)] = *rc::gen::arbitrary<char>();
    }
    const absl::StatusOr<PeerMessage> back = FromBytes(bytes);
    if (back.ok()) RC_ASSERT(!ToBytes(*back).empty());
  }));
}

TEST(PeerTranslation, RefusesWhatNoNodeSends) {
  const auto refused = [](auto change) {
    peer::PeerMessage wire;
    wire.set_partition(PartitionId(3, 5).value());
    change(&wire);
    return !DecodePeerMessage(&wire).ok();
  };
  EXPECT_TRUE(refused([](peer::PeerMessage*) {}));
  EXPECT_TRUE(refused([](peer::PeerMessage* wire) {
    wire->mutable_fetch()->set_table(1);  // no key
  }));
  EXPECT_TRUE(refused([](peer::PeerMessage* wire) {
    wire->mutable_forward()->set_table(1);
    wire->mutable_forward()->set_key("k");
    wire->mutable_forward()->set_needed(1);
    wire->mutable_forward()->set_ttl_ms(kMaxTtlMs + 1);
  }));
  EXPECT_TRUE(refused([](peer::PeerMessage* wire) {
    wire->mutable_fetch()->set_table(70'000);
    wire->mutable_fetch()->set_key("k");
  }));
  EXPECT_TRUE(refused([](peer::PeerMessage* wire) {
    wire->mutable_fetch()->set_table(1);
    wire->mutable_fetch()->set_key("k");
    wire->set_partition(0);
  }));
  for (const uint64_t counter : {uint64_t{0}, kMaxCounter + 1}) {
    EXPECT_TRUE(refused([&](peer::PeerMessage* wire) {
      wire->mutable_fetch()->set_table(1);
      wire->mutable_fetch()->set_key("k");
      wire->mutable_fetch()->add_known_replicas(7);
      wire->mutable_fetch()->add_known_counters(counter);
    }));
  }
  EXPECT_TRUE(refused([](peer::PeerMessage* wire) {
    wire->mutable_fetch()->set_table(1);
    wire->mutable_fetch()->set_key("k");
    wire->mutable_fetch()->add_known_replicas(7);  // no counter
  }));
  EXPECT_TRUE(refused([](peer::PeerMessage* wire) {
    wire->mutable_fetch()->set_table(1);
    wire->mutable_fetch()->set_key("k");
    for (size_t i = 0; i <= kMaxKnown; ++i) {
      wire->mutable_fetch()->add_known_replicas(7);
      wire->mutable_fetch()->add_known_counters(i + 1);
    }
  }));
  EXPECT_TRUE(refused([](peer::PeerMessage* wire) {
    wire->mutable_fetch_reply()->mutable_found()->set_table(1);
    wire->mutable_fetch_reply()->mutable_found()->set_key("k");
    wire->mutable_fetch_reply()->mutable_found()->set_record(EncodeRecord(Record{}));
    wire->mutable_fetch_reply()->add_left_out(0);  // of no version
  }));
  EXPECT_TRUE(refused([](peer::PeerMessage* wire) {
    wire->mutable_forward()->set_table(1);
    wire->mutable_forward()->set_key("k");
    wire->mutable_forward()->set_needed(0);
  }));
  EXPECT_TRUE(refused([](peer::PeerMessage* wire) { wire->mutable_slice_ask()->set_digest("x"); }));
  EXPECT_TRUE(refused([](peer::PeerMessage* wire) {
    wire->mutable_slice_answer()->add_items()->set_table(1);
    wire->mutable_slice_answer()->mutable_items(0)->set_key("k");  // no digest
  }));
  EXPECT_TRUE(refused([](peer::PeerMessage* wire) {
    for (size_t i = 0; i <= kMaxSliceItems; ++i) {
      peer::SliceAnswer::Item* const item = wire->mutable_slice_answer()->add_items();
      item->set_table(1);
      item->set_key("k");
      item->set_digest(std::string(16, 'd'));
    }
  }));
  EXPECT_TRUE(refused([](peer::PeerMessage* wire) { wire->mutable_doubt()->set_table(1); }));
  EXPECT_TRUE(refused([](peer::PeerMessage* wire) {
    wire->mutable_apply()->mutable_change()->set_table(1);
    wire->mutable_apply()->mutable_change()->set_key("k");
    wire->mutable_apply()->mutable_change()->set_record("\xff\xff");
  }));
  const auto counts = [&](std::vector<uint32_t> tables) {
    return !refused([&](peer::PeerMessage* wire) {
      wire->mutable_clock_answer()->set_bases(EncodeVersionVector(VersionVector()));
      for (const uint32_t table : tables) {
        wire->mutable_clock_answer()->add_missing_by_table()->set_table(table);
      }
    });
  };
  EXPECT_TRUE(counts({0, 1, UINT16_MAX}));
  EXPECT_FALSE(counts({1, 1}));
  EXPECT_FALSE(counts({2, 1}));
  EXPECT_FALSE(counts({UINT16_MAX + 1}));
}

TEST(PeerTranslation, AMembershipMessageKnowsTheEpochOfItsSender) {
  MembershipMessage said;
  said.epoch = Epoch(7);
  said.rumours.push_back({NodeId(3), Liveness::kDead, 5, NodeId(4), 6, Load::kBusy});
  const absl::StatusOr<PeerMessage> back = FromBytes(ToBytes({0, Epoch(7), PartitionId(), said}));
  ASSERT_TRUE(back.ok()) << back.status();
  const MembershipMessage& heard = std::get<MembershipMessage>(back->body);
  EXPECT_EQ(heard.epoch, Epoch(7));
  EXPECT_EQ(heard.rumours, said.rumours);
}

TEST(PeerTranslation, RefusesAMembershipMessageThatNoNodeSends) {
  const auto refused = [](auto change) {
    peer::PeerMessage wire;
    for (size_t i = 0; i < kMaxRumours; ++i) wire.mutable_membership()->add_rumours();
    change(&wire);
    return !DecodePeerMessage(&wire).ok();
  };
  EXPECT_FALSE(refused([](peer::PeerMessage*) {})) << "as many rumours as there may be";
  EXPECT_TRUE(refused([](peer::PeerMessage* wire) { wire->mutable_membership()->add_rumours(); }));
  EXPECT_TRUE(refused([](peer::PeerMessage* wire) { wire->mutable_membership()->set_kind(6); }));
  EXPECT_TRUE(refused([](peer::PeerMessage* wire) { wire->mutable_membership()->set_load(4); }));
  EXPECT_TRUE(refused([](peer::PeerMessage* wire) {
    wire->mutable_membership()->mutable_rumours(1)->set_liveness(3);
  }));
  EXPECT_TRUE(refused([](peer::PeerMessage* wire) {
    wire->mutable_membership()->mutable_rumours(1)->set_load(4);
  }));
  EXPECT_TRUE(refused([](peer::PeerMessage* wire) { wire->set_exchange(1); }));
  EXPECT_TRUE(
      refused([](peer::PeerMessage* wire) { wire->set_partition(PartitionId(3, 5).value()); }));
}

TEST(PeerTranslation, TheApproximateSizeFollowsTheValues) {
  Record record;
  AddVersion(&record, {{ReplicaId(1), 1}, 0, std::string(100'000, 'v')});
  const PeerMessage message{
      1, Epoch(1), PartitionId(3, 5),
      Apply{{{PartitionId(3, 5), TableId(1), "k"}, std::make_shared<const Record>(record), {}}}};
  EXPECT_GE(ApproximateBytes(message), 100'000u);
  EXPECT_LE(ApproximateBytes(message), 101'000u);
  EXPECT_LE(ApproximateBytes({1, Epoch(1), PartitionId(3, 5), ApplyReply{}}), 100u);
}

}  // namespace
}  // namespace gyre
