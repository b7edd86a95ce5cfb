// What builds of the first level (ring/build_level.h) wrote on the wire, byte by byte, kept in
// docs/vectors/wire-level-1.txt: this build reads it as what it meant, and writes the same where
// it speaks to such a build. A line of that file never changes; a message that gets a field which
// is sent only in a cluster of a later level needs no new line.

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "api/peer_translation.h"
#include "api/proto/gyre.pb.h"
#include "ring/build_level.h"
#include "ring/topology.h"

namespace gyre {
namespace {

const PartitionId kPartition(3, 5);

ItemKey Item(const std::string& key) { return {kPartition, TableId(2), key}; }

ExplainedRecord RecordOf(const std::string& key) {
  Record record;
  record.context.RaiseTo({ReplicaId(0x1111), 4});
  AddVersion(&record, {{ReplicaId(0x2222), 9}, 0, "milk"});
  AddVersion(&record, {{ReplicaId(0x3333), 2}, 0, "bread"});
  ExplainedRecord explained{Item(key), std::make_shared<const Record>(std::move(record)), {}};
  explained.minted.push_back({{ReplicaId(0x2222), 9}, {0xaaaa, 0xbbbb}, 1});
  explained.minted.push_back({{ReplicaId(0x3333), 2}, {}, 0});
  return explained;
}

PartitionClock Clock() {
  PartitionClock clock;
  for (const uint64_t counter : {1, 2, 3, 7, 70}) clock.Add({ReplicaId(0x2222), counter});
  clock.Add({ReplicaId(0x3333), 1});
  return clock;
}

VersionVector Bases() {
  VersionVector bases;
  bases.RaiseTo({ReplicaId(0x2222), 3});
  bases.RaiseTo({ReplicaId(0x3333), 1});
  return bases;
}

Topology Document() {
  std::vector<Member> members;
  for (const char* name : {"n1", "n2", "n3"}) {
    members.push_back({{}, name, "z", std::string(name) + ":1", std::string(name) + ":2"});
  }
  TableSpec table;
  table.name = "carts";
  return *CreateTable(*InitialTopology("shop", 8, members), table);
}

WriteRequest PutOfMilk() {
  WriteRequest request;
  request.item = Item("ada");
  request.intent.value = "milk";
  request.intent.context = CausalContext{Bases(), Dot{ReplicaId(0x2222), 9}};
  request.intent.write = {0xaaaa, 0xbbbb};
  request.intent.attempt = 3;
  request.intent.ttl_ms = 60'000;
  request.needed = 2;
  request.timeout = Duration::Millis(1500);
  request.explain = true;
  request.sloppy = true;
  return request;
}

Outcome OutcomeOfMilk() {
  Outcome outcome;
  outcome.context = {Bases(), Dot{ReplicaId(0x2222), 9}};
  outcome.needed = 2;
  outcome.answered = 3;
  outcome.stand_ins = 1;
  outcome.repair_sent = true;
  outcome.epoch = Epoch(6);
  outcome.coordinator = NodeId(0x77);
  outcome.parts = {{NodeId(0x77), Part::kCoordinator, Duration::Micros(120), NodeId()},
                   {NodeId(0x78), static_cast<Part>(3), Duration::Micros(999), NodeId(0x79)}};
  return outcome;
}

MembershipMessage Gossip() {
  MembershipMessage message;
  message.kind = MembershipMessage::Kind::kHelp;
  message.sequence = 12;
  message.about = NodeId(0x78);
  message.epoch = Epoch(6);
  message.incarnation = 2;
  message.load_version = 3;
  message.load = Load::kBusy;
  message.wall_ms = 1'790'000'000'000;
  message.rumours = {{NodeId(0x79), Liveness::kSuspect, 4, NodeId(0x77), 5, Load::kLight}};
  return message;
}

// One of each kind that they know.
std::vector<PeerBody> Bodies() {
  CopyPage page{CopyPart::kItems, 2, {RecordOf("ada")}, {}, "upto", true, Clock()};
  page.log.push_back({Item("bob"), {{ReplicaId(0x2222), 7}, {0xaaaa, 0xbbbb}, 1}});
  page.damaged = {Item("eve")};
  page.unread_to = "until";
  ClockAnswer answer{{RecordOf("ada")}, Bases(), true, false, 8};
  answer.missing_by_table = {{TableId(2), 8}};
  answer.mended = 1;
  answer.upto = {ReplicaId(0x3333), 2};
  answer.filling = true;
  ClockAsk ask{Clock(), Bases()};
  ask.count = true;
  ask.after = {ReplicaId(0x2222), 1};
  FetchReply found{RecordOf("ada"), {1}, Clock()};
  found.filling = true;
  return {
      Apply{RecordOf("ada"), Durability::kPeriodic},
      ApplyReply{},
      Fetch{Item("ada"), {{ReplicaId(0x2222), 9}}, true, true},
      found,
      Lookup{Item("ada"), {0xaaaa, 0xbbbb}},
      LookupReply{true, RecordOf("ada")},
      ask,
      answer,
      Forward{PutOfMilk()},
      ForwardReply{OutcomeOfMilk()},
      Refused{EncodeTopology(Document())},
      RegisterAsk{{RegisterPhase::kAccept, {8, NodeId(0x77)}, EncodeTopology(Document())}},
      RegisterAnswer{{RegisterPhase::kPrepare,
                      {8, NodeId(0x77)},
                      true,
                      {8, NodeId(0x77)},
                      {7, NodeId(0x78)},
                      "value",
                      21}},
      TopologyNews{EncodeTopology(Document())},
      Failed{Outcome::Code::kOverloaded},
      Hint{NodeId(0x77), RecordOf("ada"), Durability::kPeriodic, true},
      HintReply{},
      FetchHints{Item("ada")},
      Handoff{RecordOf("ada")},
      CopyAsk{CopyPart::kItems, 4, "after", {Item("bob")}},
      page,
      Gossip(),
      SliceAsk{"after", "upto", 1'790'000'000'000, Digest{5, 6}},
      SliceAnswer{false, {{Item("ada"), {7, 8}}}, false, "upto"},
      Doubt{Item("ada")},
  };
}

PeerMessage MessageOf(PeerBody body) {
  const bool of_the_node = std::holds_alternative<MembershipMessage>(body) ||
                           std::holds_alternative<RegisterAsk>(body) ||
                           std::holds_alternative<RegisterAnswer>(body) ||
                           std::holds_alternative<TopologyNews>(body);
  const bool gossip = std::holds_alternative<MembershipMessage>(body);
  return {gossip ? 0 : uint64_t{41}, Epoch(6), of_the_node ? PartitionId() : kPartition,
          std::move(body)};
}

std::string BytesOf(const PeerMessage& message) {
  peer::PeerMessage wire;
  EncodePeerMessage(message, &wire);
  return wire.SerializeAsString();
}

// Of what travels beside peers' messages: a greeting, and what clients and nodes say.
peer::Hello Hello() {
  peer::Hello hello;
  hello.set_cluster(5);
  hello.set_node(0x77);
  hello.set_node_name("n1");
  hello.set_instance(12);
  hello.set_epoch(6);
  hello.set_version(7);
  hello.set_boots(3);
  hello.set_run(99);
  hello.set_slices(8);
  hello.add_places("\"n1\" in zone \"z\"");
  hello.set_wall_ms(1'790'000'000'000);
  hello.set_peer_address("n1:2");
  return hello;
}

peer::JoinRequest Join() {
  peer::JoinRequest request;
  request.set_version(7);
  request.set_cluster_name("shop");
  request.set_node_name("n4");
  request.set_key(1234);
  request.set_zone("z");
  request.set_client_address("n4:1");
  request.set_peer_address("n4:2");
  request.set_waits(true);
  return request;
}

v1::ClientRequest ClientPut() {
  v1::ClientRequest request;
  request.set_id(17);
  request.mutable_put()->set_table("carts");
  request.mutable_put()->set_key("ada");
  request.mutable_put()->set_value("milk");
  return request;
}

v1::ClientReply ClientGot() {
  v1::ClientReply reply;
  reply.set_id(17);
  reply.mutable_get()->add_values("milk");
  reply.mutable_get()->set_context("context");
  return reply;
}

std::map<std::string, std::string> Vectors() {
  std::map<std::string, std::string> vectors;
  std::ifstream file(GYRE_WIRE_VECTORS);
  for (std::string line; std::getline(file, line);) {
    const size_t space = line.find(' ');
    if (line.empty() || line[0] == '#' || space == std::string::npos) continue;
    vectors[line.substr(0, space)] = absl::HexStringToBytes(line.substr(space + 1));
  }
  return vectors;
}

TEST(WireVectors, ThisBuildWritesWhatBuildsOfTheFirstLevelWrote) {
  const std::map<std::string, std::string> vectors = Vectors();
  const auto expect = [&](const std::string& name, const std::string& bytes) {
    const auto it = vectors.find(name);
    EXPECT_TRUE(it != vectors.end() && it->second == bytes)
        << name << " is now\n"
        << name << " " << absl::BytesToHexString(bytes);
  };
  for (const PeerBody& body : Bodies()) expect(MessageName(body), BytesOf(MessageOf(body)));
  expect("Hello", Hello().SerializeAsString());
  expect("JoinRequest", Join().SerializeAsString());
  expect("ClientRequest", ClientPut().SerializeAsString());
  expect("ClientReply", ClientGot().SerializeAsString());
  expect("Topology", EncodeTopology(Document()));
  EXPECT_EQ(vectors.size(), Bodies().size() + 5);
}

TEST(WireVectors, ThisBuildReadsWhatBuildsOfTheFirstLevelWrote) {
  std::map<std::string, std::string> vectors = Vectors();
  for (const PeerBody& body : Bodies()) {
    const std::string& bytes = vectors[MessageName(body)];
    peer::PeerMessage wire;
    ASSERT_TRUE(wire.ParseFromString(bytes)) << MessageName(body);
    EXPECT_TRUE(wire.GetReflection()->GetUnknownFields(wire).empty()) << MessageName(body);
    const absl::StatusOr<PeerMessage> read = DecodePeerMessage(&wire);
    ASSERT_TRUE(read.ok()) << MessageName(body) << ": " << read.status();
    EXPECT_EQ(read->body.index(), body.index());
    EXPECT_EQ(BytesOf(*read), bytes) << MessageName(body);
  }
  const absl::StatusOr<Topology> topology = DecodeTopology(vectors["Topology"]);
  ASSERT_TRUE(topology.ok()) << topology.status();
  EXPECT_EQ(*topology, Document());
  EXPECT_EQ(topology->level, kFirstLevel);
}

TEST(WireVectors, WhoSaysNothingOfItsLevelIsOfTheFirst) {
  std::map<std::string, std::string> vectors = Vectors();
  peer::Hello hello;
  ASSERT_TRUE(hello.ParseFromString(vectors["Hello"]));
  EXPECT_EQ(hello.node_name(), "n1");
  EXPECT_EQ(LevelSaid(hello.level()), kFirstLevel);
  EXPECT_EQ(LevelSaid(hello.cluster_level()), kFirstLevel);
  peer::JoinRequest join;
  ASSERT_TRUE(join.ParseFromString(vectors["JoinRequest"]));
  EXPECT_EQ(join.key(), 1234u);
  EXPECT_EQ(LevelSaid(join.level()), kFirstLevel);
}

TEST(WireVectors, ClientsOfTheFirstLevelAreUnderstood) {
  std::map<std::string, std::string> vectors = Vectors();
  v1::ClientRequest request;
  ASSERT_TRUE(request.ParseFromString(vectors["ClientRequest"]));
  EXPECT_EQ(request.put().value(), "milk");
  v1::ClientReply reply;
  ASSERT_TRUE(reply.ParseFromString(vectors["ClientReply"]));
  EXPECT_EQ(reply.get().values(0), "milk");
}

}  // namespace
}  // namespace gyre
