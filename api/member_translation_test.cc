#include "api/member_translation.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/error_translation.h"

namespace gyre {
namespace {

using Change = v1::ChangeMemberRequest;

// Four nodes, of which the last one waits.
Topology FourNodes() {
  std::vector<Member> members;
  for (const char* name : {"n0", "n1", "n2"}) members.push_back({{}, name, "z", "h:1", "h:2"});
  TableSpec table;
  table.name = "carts";
  return *AddMember(*CreateTable(*InitialTopology("test", 8, members), table),
                    {{}, "n3", "z", "h:3", "h:4", MemberState::kWaiting, 7});
}

Change RequestOf(Change::Change change, const std::string& node) {
  Change request;
  request.set_change(change);
  request.set_node(node);
  return request;
}

// The state of its node after the change.
MemberState After(const Topology& topology, const Change& request) {
  const auto change = ChangeOf(request);
  EXPECT_TRUE(change.ok()) << change.status();
  const absl::StatusOr<Topology> next = (*change)(topology);
  EXPECT_TRUE(next.ok()) << next.status();
  EXPECT_EQ(next->epoch.value(), topology.epoch.value() + 1);
  return FindMember(*next, request.node())->state;
}

TEST(MemberTranslation, EachChangeDoesWhatItSays) {
  const Topology topology = FourNodes();
  EXPECT_EQ(After(topology, RequestOf(Change::ACTIVATE, "n3")), MemberState::kActive);
  const Topology active = *ActivateMember(topology, "n3");
  EXPECT_EQ(After(active, RequestOf(Change::RETIRE, "n1")), MemberState::kWaiting);
  EXPECT_EQ(After(active, RequestOf(Change::LEAVE, "n1")), MemberState::kLeaving);
  EXPECT_EQ(After(active, RequestOf(Change::REMOVE, "n1")), MemberState::kDead);
  Change replace = RequestOf(Change::REPLACE, "n1");
  replace.set_with("n3");
  EXPECT_EQ(After(topology, replace), MemberState::kDead);
  EXPECT_EQ(FindMember(*(*ChangeOf(replace))(topology), "n3")->state, MemberState::kActive);
  Change zone = RequestOf(Change::SET_ZONE, "n1");
  zone.set_zone("rack-7");
  EXPECT_EQ(FindMember(*(*ChangeOf(zone))(topology), "n1")->zone, "rack-7");
}

TEST(MemberTranslation, ARequestThatMeansNothingNamesItsField) {
  const auto wrong = [](const Change& request) {
    const absl::Status status = ChangeOf(request).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    const std::optional<v1::ErrorDetail> detail = DetailOf(status);
    EXPECT_TRUE(detail.has_value());
    return detail.has_value() ? detail->field() : "";
  };
  EXPECT_EQ(wrong(RequestOf(Change::LEAVE, "")), "node");
  EXPECT_EQ(wrong(RequestOf(Change::CHANGE_UNSPECIFIED, "n1")), "change");
  EXPECT_EQ(wrong(RequestOf(static_cast<Change::Change>(99), "n1")), "change");
  EXPECT_EQ(wrong(RequestOf(Change::SET_ZONE, "n1")), "zone");
  Change replace = RequestOf(Change::REPLACE, "n1");
  replace.set_with("n1");
  EXPECT_EQ(wrong(replace), "with");
  Change zone = RequestOf(Change::SET_ZONE, "n1");
  zone.set_zone("a\x1b[2J");
  EXPECT_EQ(wrong(zone), "zone");
}

TEST(MemberTranslation, AMemberIsShownAsItIs) {
  const std::vector<std::pair<MemberState, v1::MemberState>> states = {
      {MemberState::kActive, v1::MEMBER_STATE_ACTIVE},
      {MemberState::kWaiting, v1::MEMBER_STATE_WAITING},
      {MemberState::kLeaving, v1::MEMBER_STATE_LEAVING},
      {MemberState::kDead, v1::MEMBER_STATE_DEAD}};
  for (const auto& [state, wire] : states) {
    v1::TopologyMember out;
    ToProto(Member{{}, "n", "z", "h:1", "h:2", state}, &out);
    EXPECT_EQ(out.name(), "n");
    EXPECT_EQ(out.zone(), "z");
    EXPECT_EQ(out.client_address(), "h:1");
    EXPECT_EQ(out.state(), wire);
  }
}

TEST(MemberTranslation, WhatMovesIsShownWithNames) {
  const Topology topology = FourNodes();
  const auto id = [&](const char* name) { return FindMember(topology, name)->id; };
  v1::Transfer out;
  ToProto(Flow{id("n1"), id("n3"), 5, 2, 1}, topology, &out);
  EXPECT_EQ(out.from(), "n1");
  EXPECT_EQ(out.to(), "n3");
  EXPECT_EQ(out.waiting(), 5u);
  EXPECT_EQ(out.filling(), 2u);
  EXPECT_EQ(out.finishing(), 1u);
}

TEST(MemberTranslation, SaysWhoVotesInWhichLifeAndWhoOfThemIsThere) {
  Topology topology = FourNodes();
  const NodeId n1 = topology.voters[1].node;
  v1::ListTransfersReply reply;
  AddVoters(topology, {n1}, &reply);
  ASSERT_EQ(reply.voters_size(), 3);
  for (const v1::Voter& voter : reply.voters()) {
    const bool away = voter.node() == FindMember(topology, n1)->name;
    EXPECT_EQ(voter.reachable(), !away) << voter.node();
    EXPECT_EQ(voter.life(), 0u);
    EXPECT_FALSE(voter.ended());
  }
  EXPECT_EQ(reply.voters_before_size(), 0);

  topology = SetLife(topology, n1, 77);
  reply.Clear();
  AddVoters(topology, {}, &reply);
  EXPECT_TRUE(reply.voters(1).ended()) << "it votes under the life that it had";
  EXPECT_EQ(reply.voters(1).life(), 0u);

  reply.Clear();
  AddVoters(ElectVoters(topology), {}, &reply);
  int anew = 0;
  for (const v1::Voter& voter : reply.voters()) {
    if (voter.life() == 77) ++anew;
    EXPECT_FALSE(voter.ended());
  }
  EXPECT_EQ(anew, 1);
  ASSERT_EQ(reply.voters_before_size(), 3) << "they have to agree as well";
}

}  // namespace
}  // namespace gyre
