#include "api/reply_translation.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/context_codec.h"
#include "api/error_translation.h"
#include "api/limits.h"

namespace gyre {
namespace {

std::string NameOf(NodeId node, const View& view) {
  const Member* member = view.FindMember(node);
  return member == nullptr ? absl::StrCat("node ", node.value()) : member->name;
}

void FillInfo(const Outcome& outcome, const View& view, v1::ReplyInfo* info) {
  info->set_epoch(outcome.epoch.value());
  info->set_answered(static_cast<uint32_t>(outcome.answered));
  info->set_needed(static_cast<uint32_t>(outcome.needed));
  info->set_stand_ins(static_cast<uint32_t>(outcome.stand_ins));
  info->set_repair_sent(outcome.repair_sent);
  if (outcome.parts.empty()) return;
  info->set_coordinator(NameOf(outcome.coordinator, view));
  for (const ReplicaPart& part : outcome.parts) {
    v1::ReplicaPart* out = info->add_replicas();
    out->set_node(NameOf(part.node, view));
    out->set_part(static_cast<v1::ReplicaPart::Part>(part.part));
    out->set_micros(static_cast<uint32_t>(std::clamp<int64_t>(part.took.micros(), 0, UINT32_MAX)));
    if (part.stand_in != NodeId()) out->set_stand_in(NameOf(part.stand_in, view));
  }
}

template <typename Reply>
absl::Status TranslateWriteReply(const Outcome& outcome, RepliedItem item, const View& view,
                                 Reply* reply) {
  std::string context = EncodeContext(item.table, item.key_hash, outcome.context);
  if (outcome.code != Outcome::Code::kOk) return FromOutcome(outcome, std::move(context));
  reply->set_context(std::move(context));
  FillInfo(outcome, view, reply->mutable_info());
  return absl::OkStatus();
}

}  // namespace

absl::Status TranslatePutReply(Outcome outcome, RepliedItem item, const View& view,
                               v1::PutReply* reply) {
  return TranslateWriteReply(outcome, item, view, reply);
}

absl::Status TranslateDeleteReply(Outcome outcome, RepliedItem item, const View& view,
                                  v1::DeleteReply* reply) {
  return TranslateWriteReply(outcome, item, view, reply);
}

absl::Status TranslateGetReply(Outcome outcome, RepliedItem item, const View& view,
                               v1::GetReply* reply) {
  std::string context = EncodeContext(item.table, item.key_hash, outcome.context);
  if (outcome.code != Outcome::Code::kOk) return FromOutcome(outcome, std::move(context));
  const size_t bytes = context.size() + ValueBytes(outcome.record);
  if (bytes > kMaxReplyValueBytes) return ReplyTooLarge(bytes, std::move(context));
  reply->set_found(!outcome.record.versions.empty());
  for (const Version& version : outcome.record.versions) {
    reply->add_values(std::string(version.value));
  }
  if (Expires(outcome.record)) {
    for (const Version& version : outcome.record.versions) {
      reply->add_ttl_left_ms(version.expires_ms == 0 ? 0 : version.expires_ms - outcome.time_ms);
    }
  }
  reply->set_context(std::move(context));
  FillInfo(outcome, view, reply->mutable_info());
  return absl::OkStatus();
}

}  // namespace gyre
