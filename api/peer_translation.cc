#include "api/peer_translation.h"

#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "api/limits.h"
#include "ring/check.h"
#include "storage/version/varint.h"
#include "storage/version/version_codec.h"

namespace gyre {
namespace {

constexpr int kMostParts = kMaxReplicas * 2;
constexpr size_t kRoughHeaderBytes = 48;
constexpr size_t kRoughDotBytes = 24;
constexpr size_t kRoughRumourBytes = 40;

absl::Status Malformed(const char* what) {
  return absl::DataLossError(absl::StrCat("peer message: malformed ", what));
}

// ------------------------------------------------------------------------------------ small parts

std::string EncodeWriteId(const WriteId& write) {
  std::string out;
  if (write.empty()) return out;
  AppendFixed64(&out, write.high);
  AppendFixed64(&out, write.low);
  return out;
}

absl::StatusOr<WriteId> DecodeWriteId(std::string_view bytes) {
  WriteId write;
  if (bytes.empty()) return write;
  if (!ConsumeFixed64(&bytes, &write.high) || !ConsumeFixed64(&bytes, &write.low) ||
      !bytes.empty() || write.empty()) {
    return Malformed("idempotency key");
  }
  return write;
}

std::string EncodeDigest(const Digest& digest) {
  std::string out;
  AppendFixed64(&out, digest.high);
  AppendFixed64(&out, digest.low);
  return out;
}

absl::StatusOr<Digest> DecodeDigest(std::string_view bytes) {
  Digest digest;
  if (!ConsumeFixed64(&bytes, &digest.high) || !ConsumeFixed64(&bytes, &digest.low) ||
      !bytes.empty()) {
    return Malformed("digest");
  }
  return digest;
}

void EncodeMove(const MoveRef& ref, peer::MovesDue::Move* wire) {
  wire->set_partition(ref.partition.value());
  wire->set_since(ref.since.value());
}

absl::StatusOr<ItemKey> DecodeItem(PartitionId partition, uint32_t table, std::string* key) {
  if (table == 0 || table > std::numeric_limits<uint16_t>::max()) return Malformed("table");
  if (key->empty() || key->size() > kMaxKeyBytes) return Malformed("key");
  return ItemKey{partition, TableId(static_cast<uint16_t>(table)), std::move(*key)};
}

template <typename Enum>
bool InRange(uint32_t wire, Enum last) {
  return wire <= static_cast<uint32_t>(last);
}

void EncodeRecordPart(const ExplainedRecord& explained, peer::ExplainedRecord* out) {
  out->set_table(explained.item.table.value());
  out->set_key(explained.item.key);
  out->set_record(EncodeRecord(*explained.record));
  out->mutable_minted()->Reserve(static_cast<int>(explained.minted.size()));
  for (const Minted& minted : explained.minted) out->add_minted(EncodeMinted(minted));
}

absl::StatusOr<ExplainedRecord> DecodeRecordPart(PartitionId partition,
                                                 peer::ExplainedRecord* wire) {
  ExplainedRecord explained;
  absl::StatusOr<ItemKey> item = DecodeItem(partition, wire->table(), wire->mutable_key());
  if (!item.ok()) return item.status();
  explained.item = *std::move(item);
  absl::StatusOr<Record> record = DecodeRecord(wire->record());
  if (!record.ok()) return record.status();
  explained.record = std::make_shared<const Record>(*std::move(record));
  explained.minted.reserve(wire->minted_size());
  for (const std::string& bytes : wire->minted()) {
    absl::StatusOr<Minted> minted = DecodeMinted(bytes);
    if (!minted.ok()) return minted.status();
    explained.minted.push_back(*std::move(minted));
  }
  return explained;
}

void EncodeBallot(const Ballot& ballot, peer::Ballot* out) {
  out->set_round(ballot.round);
  out->set_node(ballot.node.value());
}

Ballot DecodeBallot(const peer::Ballot& wire) { return {wire.round(), NodeId(wire.node())}; }

// --------------------------------------------------------------------------------- encoding a body

struct BodyEncoder {
  peer::PeerMessage* out;

  void operator()(const Apply& apply) const {
    EncodeRecordPart(apply.change, out->mutable_apply()->mutable_change());
    out->mutable_apply()->set_durability(static_cast<uint32_t>(apply.durability));
  }
  void operator()(const ApplyReply&) const { out->mutable_apply_reply(); }
  void operator()(const Fetch& fetch) const {
    out->mutable_fetch()->set_table(fetch.item.table.value());
    out->mutable_fetch()->set_key(fetch.item.key);
    for (const Dot& dot : fetch.known) {
      out->mutable_fetch()->add_known_replicas(dot.replica.value());
      out->mutable_fetch()->add_known_counters(dot.counter);
    }
    if (fetch.with_clock) out->mutable_fetch()->set_with_clock(true);
    if (fetch.mends) out->mutable_fetch()->set_mends(true);
  }
  void operator()(const FetchReply& reply) const {
    EncodeRecordPart(reply.found, out->mutable_fetch_reply()->mutable_found());
    for (const uint32_t place : reply.left_out) out->mutable_fetch_reply()->add_left_out(place);
    if (reply.clock.has_value()) {
      out->mutable_fetch_reply()->set_clock(EncodePartitionClock(*reply.clock));
    }
    if (reply.filling) out->mutable_fetch_reply()->set_filling(true);
  }
  void operator()(const Lookup& lookup) const {
    out->mutable_lookup()->set_table(lookup.item.table.value());
    out->mutable_lookup()->set_key(lookup.item.key);
    out->mutable_lookup()->set_write(EncodeWriteId(lookup.write));
  }
  void operator()(const LookupReply& reply) const {
    out->mutable_lookup_reply()->set_known(reply.known);
    if (reply.known) {
      EncodeRecordPart(reply.found, out->mutable_lookup_reply()->mutable_found());
    }
  }
  void operator()(const ClockAsk& ask) const {
    peer::ClockAsk* wire = out->mutable_clock_ask();
    wire->set_clock(EncodePartitionClock(ask.clock));
    if (ask.durable_bases == ask.clock.Bases()) {
      wire->set_all_durable(true);  // as a rule: a round over all partitions is to cost little
    } else if (ask.durable_bases.has_value()) {
      wire->set_durable_bases(EncodeVersionVector(*ask.durable_bases));
      wire->set_has_durable_bases(true);
    }
    wire->set_count(ask.count);
    wire->set_after_replica(ask.after.replica.value());
    wire->set_after_counter(ask.after.counter);
  }
  void operator()(const ClockAnswer& answer) const {
    peer::ClockAnswer* wire = out->mutable_clock_answer();
    for (const ExplainedRecord& item : answer.items) EncodeRecordPart(item, wire->add_items());
    wire->set_bases(EncodeVersionVector(answer.bases));
    wire->set_complete(answer.complete);
    wire->set_log_cut(answer.log_cut);
    wire->set_missing(answer.missing);
    for (const auto& [table, dots] : answer.missing_by_table) {
      peer::ClockAnswer::TableDots* const one = wire->add_missing_by_table();
      one->set_table(table.value());
      one->set_dots(dots);
    }
    wire->set_mended(answer.mended);
    wire->set_upto_replica(answer.upto.replica.value());
    wire->set_upto_counter(answer.upto.counter);
    wire->set_filling(answer.filling);
  }
  void operator()(const CopyAsk& ask) const {
    peer::CopyAsk* wire = out->mutable_copy_ask();
    wire->set_part(static_cast<uint32_t>(ask.part));
    wire->set_number(ask.number);
    wire->set_after(ask.after);
    for (const ItemKey& item : ask.items) {
      peer::CopyAsk::Item* one = wire->add_items();
      one->set_table(item.table.value());
      one->set_key(item.key);
    }
    wire->set_in_parts(ask.in_parts);
  }
  void operator()(const CopyPage& page) const {
    peer::CopyPage* wire = out->mutable_copy_page();
    wire->set_part(static_cast<uint32_t>(page.part));
    wire->set_number(page.number);
    for (const ExplainedRecord& item : page.items) EncodeRecordPart(item, wire->add_items());
    for (const LogRow& row : page.log) {
      peer::CopyPage::LogRow* one = wire->add_log();
      one->set_table(row.item.table.value());
      one->set_key(row.item.key);
      one->set_minted(EncodeMinted(row.minted));
    }
    wire->set_upto(page.upto);
    wire->set_last(page.last);
    wire->set_clock(EncodePartitionClock(page.clock));
    for (const ItemKey& item : page.damaged) {
      peer::CopyPage::Item* one = wire->add_damaged();
      one->set_table(item.table.value());
      one->set_key(item.key);
    }
    wire->set_unread_to(page.unread_to);
    if (page.records.has_value()) wire->set_records(*page.records);
  }
  void operator()(const SliceAsk& ask) const {
    peer::SliceAsk* wire = out->mutable_slice_ask();
    wire->set_after(ask.after);
    wire->set_upto(ask.upto);
    wire->set_expired_by_ms(ask.expired_by_ms);
    if (ask.digest.has_value()) wire->set_digest(EncodeDigest(*ask.digest));
  }
  void operator()(const SliceAnswer& answer) const {
    peer::SliceAnswer* wire = out->mutable_slice_answer();
    wire->set_same(answer.same);
    for (const ItemDigest& item : answer.items) {
      peer::SliceAnswer::Item* one = wire->add_items();
      one->set_table(item.item.table.value());
      one->set_key(item.item.key);
      one->set_digest(EncodeDigest(item.digest));
    }
    wire->set_complete(answer.complete);
    wire->set_upto(answer.upto);
  }
  void operator()(const Doubt& doubt) const {
    out->mutable_doubt()->set_table(doubt.item.table.value());
    out->mutable_doubt()->set_key(doubt.item.key);
  }
  void operator()(const Forward& forward) const {
    const WriteRequest& request = forward.request;
    peer::Forward* wire = out->mutable_forward();
    wire->set_table(request.item.table.value());
    wire->set_key(request.item.key);
    wire->set_kind(static_cast<uint32_t>(request.intent.kind));
    wire->set_mode(static_cast<uint32_t>(request.intent.mode));
    wire->set_value(request.intent.value);
    if (request.intent.context.has_value()) {
      wire->set_context(EncodeCausalContext(*request.intent.context));
      wire->set_has_context(true);
    }
    wire->set_write(EncodeWriteId(request.intent.write));
    wire->set_attempt(request.intent.attempt);
    wire->set_conflict(static_cast<uint32_t>(request.intent.conflict));
    wire->set_durability(static_cast<uint32_t>(request.intent.durability));
    wire->set_needed(static_cast<uint32_t>(request.needed));
    wire->set_timeout_us(request.timeout.micros());
    wire->set_explain(request.explain);
    wire->set_sloppy(request.sloppy);
    wire->set_ttl_ms(request.intent.ttl_ms);
  }
  void operator()(const ForwardReply& reply) const {
    const Outcome& outcome = reply.outcome;
    peer::ForwardReply* wire = out->mutable_forward_reply();
    wire->set_code(static_cast<uint32_t>(outcome.code));
    wire->set_context(EncodeCausalContext(outcome.context));
    wire->set_needed(static_cast<uint32_t>(outcome.needed));
    wire->set_answered(static_cast<uint32_t>(outcome.answered));
    wire->set_stand_ins(static_cast<uint32_t>(outcome.stand_ins));
    wire->set_outcome_unknown(outcome.outcome_unknown);
    wire->set_repair_sent(outcome.repair_sent);
    wire->set_epoch(outcome.epoch.value());
    wire->set_coordinator(outcome.coordinator.value());
    for (const ReplicaPart& part : outcome.parts) {
      peer::ForwardReply::Part* one = wire->add_parts();
      one->set_node(part.node.value());
      one->set_part(static_cast<uint32_t>(part.part));
      one->set_took_us(part.took.micros());
      one->set_stand_in(part.stand_in.value());
    }
  }
  void operator()(const Refused& refused) const {
    peer::Refused* wire = out->mutable_refused();
    wire->set_topology(refused.topology);
    wire->set_delta(refused.delta);
  }
  void operator()(const RegisterAsk& ask) const {
    peer::RegisterAsk* wire = out->mutable_register_ask();
    wire->set_phase(static_cast<uint32_t>(ask.request.phase));
    EncodeBallot(ask.request.ballot, wire->mutable_ballot());
    wire->set_value(ask.request.value);
    wire->set_delta(ask.delta);
  }
  void operator()(const RegisterAnswer& answer) const {
    peer::RegisterAnswer* wire = out->mutable_register_answer();
    wire->set_phase(static_cast<uint32_t>(answer.reply.phase));
    EncodeBallot(answer.reply.ballot, wire->mutable_ballot());
    wire->set_granted(answer.reply.granted);
    EncodeBallot(answer.reply.promised, wire->mutable_promised());
    EncodeBallot(answer.reply.accepted, wire->mutable_accepted());
    wire->set_value(answer.reply.value);
    wire->set_life(answer.reply.life);
    wire->set_delta(answer.delta);
  }
  void operator()(const TopologyNews& news) const {
    peer::TopologyNews* wire = out->mutable_topology_news();
    wire->set_topology(news.topology);
    wire->set_delta(news.delta);
    wire->set_asks(static_cast<uint32_t>(news.asks));
  }
  void operator()(const MovesDue& due) const {
    peer::MovesDue* wire = out->mutable_moves_due();
    for (const MoveRef& ref : due.filled) EncodeMove(ref, wire->add_filled());
    for (const MoveRef& ref : due.ends) EncodeMove(ref, wire->add_ends());
  }
  void operator()(const Hint& hint) const {
    peer::Hint* wire = out->mutable_hint();
    wire->set_owner(hint.owner.value());
    EncodeRecordPart(hint.change, wire->mutable_change());
    wire->set_durability(static_cast<uint32_t>(hint.durability));
    wire->set_ownerless(hint.ownerless);
  }
  void operator()(const HintReply&) const { out->mutable_hint_reply(); }
  void operator()(const FetchHints& fetch) const {
    out->mutable_fetch_hints()->set_table(fetch.item.table.value());
    out->mutable_fetch_hints()->set_key(fetch.item.key);
  }
  void operator()(const Handoff& handoff) const {
    EncodeRecordPart(handoff.change, out->mutable_handoff()->mutable_change());
  }
  void operator()(const Failed& failed) const {
    out->mutable_failed()->set_code(static_cast<uint32_t>(failed.code));
  }
  void operator()(const MembershipMessage& message) const {
    peer::Membership* wire = out->mutable_membership();
    wire->set_kind(static_cast<uint32_t>(message.kind));
    wire->set_sequence(message.sequence);
    wire->set_about(message.about.value());
    wire->set_incarnation(message.incarnation);
    wire->set_load_version(message.load_version);
    wire->set_load(static_cast<uint32_t>(message.load));
    wire->set_wall_ms(message.wall_ms);
    for (const Rumour& rumour : message.rumours) {
      peer::Membership::Rumour* one = wire->add_rumours();
      one->set_node(rumour.node.value());
      one->set_liveness(static_cast<uint32_t>(rumour.liveness));
      one->set_incarnation(rumour.incarnation);
      one->set_by(rumour.by.value());
      one->set_load_version(rumour.load_version);
      one->set_load(static_cast<uint32_t>(rumour.load));
    }
  }
};

// --------------------------------------------------------------------------------- decoding a body

absl::StatusOr<PeerBody> DecodeApply(PartitionId partition, peer::Apply* wire) {
  if (!InRange(wire->durability(), Durability::kPeriodic)) return Malformed("durability");
  absl::StatusOr<ExplainedRecord> change = DecodeRecordPart(partition, wire->mutable_change());
  if (!change.ok()) return change.status();
  return Apply{*std::move(change), static_cast<Durability>(wire->durability())};
}

absl::StatusOr<PeerBody> DecodeFetch(PartitionId partition, peer::Fetch* wire) {
  absl::StatusOr<ItemKey> item = DecodeItem(partition, wire->table(), wire->mutable_key());
  if (!item.ok()) return item.status();
  Fetch fetch{*std::move(item), {}, wire->with_clock(), wire->mends()};
  if (wire->known_replicas_size() != wire->known_counters_size() ||
      wire->known_replicas_size() > static_cast<int>(kMaxKnown)) {
    return Malformed("known dots");
  }
  for (int i = 0; i < wire->known_replicas_size(); ++i) {
    const Dot dot{ReplicaId(wire->known_replicas(i)), wire->known_counters(i)};
    if (dot.counter == 0 || dot.counter > kMaxCounter) return Malformed("known dots");
    fetch.known.push_back(dot);
  }
  return fetch;
}

absl::StatusOr<PeerBody> DecodeFetchReply(PartitionId partition, peer::FetchReply* wire) {
  absl::StatusOr<ExplainedRecord> found = DecodeRecordPart(partition, wire->mutable_found());
  if (!found.ok()) return found.status();
  FetchReply reply{*std::move(found), {}, {}};
  if (!wire->clock().empty()) {
    absl::StatusOr<PartitionClock> clock = DecodePartitionClock(wire->clock());
    if (!clock.ok()) return clock.status();
    reply.clock = *std::move(clock);
  }
  reply.filling = wire->filling();
  uint32_t least = 0;
  for (const uint32_t place : wire->left_out()) {
    if (place < least || place >= reply.found.record->versions.size()) return Malformed("places");
    reply.left_out.push_back(place);
    least = place + 1;
  }
  return reply;
}

absl::StatusOr<PeerBody> DecodeLookup(PartitionId partition, peer::Lookup* wire) {
  absl::StatusOr<ItemKey> item = DecodeItem(partition, wire->table(), wire->mutable_key());
  if (!item.ok()) return item.status();
  absl::StatusOr<WriteId> write = DecodeWriteId(wire->write());
  if (!write.ok()) return write.status();
  if (write->empty()) return Malformed("idempotency key");
  return Lookup{*std::move(item), *write};
}

absl::StatusOr<PeerBody> DecodeLookupReply(PartitionId partition, peer::LookupReply* wire) {
  if (!wire->known()) return LookupReply{};
  absl::StatusOr<ExplainedRecord> found = DecodeRecordPart(partition, wire->mutable_found());
  if (!found.ok()) return found.status();
  return LookupReply{true, *std::move(found)};
}

absl::StatusOr<PeerBody> DecodeClockAsk(const peer::ClockAsk& wire) {
  ClockAsk ask;
  absl::StatusOr<PartitionClock> clock = DecodePartitionClock(wire.clock());
  if (!clock.ok()) return clock.status();
  ask.clock = *std::move(clock);
  if (wire.all_durable()) {
    ask.durable_bases = ask.clock.Bases();
  } else if (wire.has_durable_bases()) {
    absl::StatusOr<VersionVector> bases = DecodeVersionVector(wire.durable_bases());
    if (!bases.ok()) return bases.status();
    ask.durable_bases = *std::move(bases);
  }
  ask.count = wire.count();
  ask.after = {ReplicaId(wire.after_replica()), wire.after_counter()};
  if (ask.after.counter > kMaxCounter) return Malformed("after");
  return ask;
}

absl::StatusOr<PeerBody> DecodeClockAnswer(PartitionId partition, peer::ClockAnswer* wire) {
  ClockAnswer answer;
  answer.items.reserve(wire->items_size());
  for (peer::ExplainedRecord& item : *wire->mutable_items()) {
    absl::StatusOr<ExplainedRecord> decoded = DecodeRecordPart(partition, &item);
    if (!decoded.ok()) return decoded.status();
    answer.items.push_back(*std::move(decoded));
  }
  absl::StatusOr<VersionVector> bases = DecodeVersionVector(wire->bases());
  if (!bases.ok()) return bases.status();
  answer.bases = *std::move(bases);
  answer.complete = wire->complete();
  answer.log_cut = wire->log_cut();
  answer.missing = wire->missing();
  for (const peer::ClockAnswer::TableDots& one : wire->missing_by_table()) {
    const TableId table(static_cast<uint16_t>(one.table()));
    if (one.table() > UINT16_MAX ||
        (!answer.missing_by_table.empty() && table <= answer.missing_by_table.back().first)) {
      return Malformed("table");
    }
    answer.missing_by_table.emplace_back(table, one.dots());
  }
  answer.mended = wire->mended();
  answer.upto = {ReplicaId(wire->upto_replica()), wire->upto_counter()};
  if (answer.upto.counter > kMaxCounter) return Malformed("upto");
  answer.filling = wire->filling();
  return answer;
}

absl::StatusOr<PeerBody> DecodeCopyAsk(PartitionId partition, peer::CopyAsk* wire) {
  if (!InRange(wire->part(), CopyPart::kItems) ||
      static_cast<size_t>(wire->items_size()) > kMaxNamed) {
    return Malformed("question for a copy");
  }
  CopyAsk ask;
  ask.part = static_cast<CopyPart>(wire->part());
  ask.number = wire->number();
  ask.after = std::move(*wire->mutable_after());
  ask.items.reserve(wire->items_size());
  for (peer::CopyAsk::Item& one : *wire->mutable_items()) {
    absl::StatusOr<ItemKey> item = DecodeItem(partition, one.table(), one.mutable_key());
    if (!item.ok()) return item.status();
    ask.items.push_back(*std::move(item));
  }
  ask.in_parts = wire->in_parts();
  return ask;
}

absl::StatusOr<PeerBody> DecodeCopyPage(PartitionId partition, peer::CopyPage* wire) {
  if (!InRange(wire->part(), CopyPart::kItems)) return Malformed("page of a copy");
  CopyPage page;
  page.part = static_cast<CopyPart>(wire->part());
  page.number = wire->number();
  page.items.reserve(wire->items_size());
  for (peer::ExplainedRecord& item : *wire->mutable_items()) {
    absl::StatusOr<ExplainedRecord> decoded = DecodeRecordPart(partition, &item);
    if (!decoded.ok()) return decoded.status();
    page.items.push_back(*std::move(decoded));
  }
  page.log.reserve(wire->log_size());
  for (peer::CopyPage::LogRow& one : *wire->mutable_log()) {
    absl::StatusOr<ItemKey> item = DecodeItem(partition, one.table(), one.mutable_key());
    if (!item.ok()) return item.status();
    absl::StatusOr<Minted> minted = DecodeMinted(one.minted());
    if (!minted.ok()) return minted.status();
    page.log.push_back({*std::move(item), *minted});
  }
  page.upto = std::move(*wire->mutable_upto());
  page.last = wire->last();
  absl::StatusOr<PartitionClock> clock = DecodePartitionClock(wire->clock());
  if (!clock.ok()) return clock.status();
  page.clock = *std::move(clock);
  page.damaged.reserve(wire->damaged_size());
  for (peer::CopyPage::Item& one : *wire->mutable_damaged()) {
    absl::StatusOr<ItemKey> item = DecodeItem(partition, one.table(), one.mutable_key());
    if (!item.ok()) return item.status();
    page.damaged.push_back(*std::move(item));
  }
  page.unread_to = std::move(*wire->mutable_unread_to());
  if (wire->has_records()) page.records = wire->records();
  return page;
}

absl::StatusOr<PeerBody> DecodeSliceAsk(peer::SliceAsk* wire) {
  SliceAsk ask;
  ask.after = std::move(*wire->mutable_after());
  ask.upto = std::move(*wire->mutable_upto());
  ask.expired_by_ms = wire->expired_by_ms();
  if (wire->digest().empty()) return ask;
  absl::StatusOr<Digest> digest = DecodeDigest(wire->digest());
  if (!digest.ok()) return digest.status();
  ask.digest = *digest;
  return ask;
}

absl::StatusOr<PeerBody> DecodeSliceAnswer(PartitionId partition, peer::SliceAnswer* wire) {
  if (static_cast<size_t>(wire->items_size()) > kMaxSliceItems) return Malformed("slice");
  SliceAnswer answer;
  answer.same = wire->same();
  answer.complete = wire->complete();
  answer.upto = std::move(*wire->mutable_upto());
  answer.items.reserve(wire->items_size());
  for (peer::SliceAnswer::Item& one : *wire->mutable_items()) {
    absl::StatusOr<ItemKey> item = DecodeItem(partition, one.table(), one.mutable_key());
    if (!item.ok()) return item.status();
    absl::StatusOr<Digest> digest = DecodeDigest(one.digest());
    if (!digest.ok()) return digest.status();
    answer.items.push_back({*std::move(item), *digest});
  }
  return answer;
}

absl::StatusOr<PeerBody> DecodeDoubt(PartitionId partition, peer::Doubt* wire) {
  absl::StatusOr<ItemKey> item = DecodeItem(partition, wire->table(), wire->mutable_key());
  if (!item.ok()) return item.status();
  return Doubt{*std::move(item)};
}

absl::StatusOr<PeerBody> DecodeForward(PartitionId partition, peer::Forward* wire) {
  Forward forward;
  WriteRequest& request = forward.request;
  absl::StatusOr<ItemKey> item = DecodeItem(partition, wire->table(), wire->mutable_key());
  if (!item.ok()) return item.status();
  absl::StatusOr<WriteId> write = DecodeWriteId(wire->write());
  if (!write.ok()) return write.status();
  if (!InRange(wire->kind(), WriteKind::kDelete) || !InRange(wire->mode(), WriteMode::kBlind) ||
      !InRange(wire->conflict(), ConflictPolicy::kLastWriteWins) ||
      !InRange(wire->durability(), Durability::kPeriodic) ||
      wire->value().size() > kMaxValueBytes || wire->needed() < 1 ||
      wire->needed() > static_cast<uint32_t>(kMaxReplicas) || wire->timeout_us() < 0 ||
      wire->timeout_us() > Duration::Millis(kMaxTimeoutMs).micros() || wire->ttl_ms() > kMaxTtlMs) {
    return Malformed("forwarded write");
  }
  if (wire->has_context()) {
    absl::StatusOr<CausalContext> context = DecodeCausalContext(wire->context());
    if (!context.ok()) return context.status();
    request.intent.context = *std::move(context);
  }
  request.item = *std::move(item);
  request.intent.kind = static_cast<WriteKind>(wire->kind());
  request.intent.mode = static_cast<WriteMode>(wire->mode());
  request.intent.value = std::move(*wire->mutable_value());
  request.intent.write = *write;
  request.intent.attempt = wire->attempt();
  request.intent.conflict = static_cast<ConflictPolicy>(wire->conflict());
  request.intent.durability = static_cast<Durability>(wire->durability());
  request.needed = static_cast<int>(wire->needed());
  request.timeout = Duration::Micros(wire->timeout_us());
  request.explain = wire->explain();
  request.sloppy = wire->sloppy();
  request.intent.ttl_ms = wire->ttl_ms();
  return forward;
}

absl::StatusOr<PeerBody> DecodeForwardReply(const peer::ForwardReply& wire) {
  Outcome outcome;
  if (!InRange(wire.code(), Outcome::Code::kTimeUnknown) ||
      wire.needed() > static_cast<uint32_t>(kMaxReplicas) ||
      wire.answered() > static_cast<uint32_t>(kMaxReplicas) || wire.stand_ins() > wire.answered() ||
      wire.parts_size() > kMostParts) {
    return Malformed("outcome");
  }
  absl::StatusOr<CausalContext> context = DecodeCausalContext(wire.context());
  if (!context.ok()) return context.status();
  outcome.code = static_cast<Outcome::Code>(wire.code());
  outcome.context = *std::move(context);
  outcome.needed = static_cast<int>(wire.needed());
  outcome.answered = static_cast<int>(wire.answered());
  outcome.stand_ins = static_cast<int>(wire.stand_ins());
  outcome.outcome_unknown = wire.outcome_unknown();
  outcome.repair_sent = wire.repair_sent();
  outcome.epoch = Epoch(wire.epoch());
  outcome.coordinator = NodeId(wire.coordinator());
  for (const peer::ForwardReply::Part& part : wire.parts()) {
    if (part.part() < 1 || !InRange(part.part(), Part::kStoodInFor)) return Malformed("part");
    outcome.parts.push_back({NodeId(part.node()), static_cast<Part>(part.part()),
                             Duration::Micros(part.took_us()), NodeId(part.stand_in())});
  }
  return ForwardReply{std::move(outcome)};
}

absl::StatusOr<PeerBody> DecodeRegisterAsk(peer::RegisterAsk* wire) {
  if (!InRange(wire->phase(), RegisterPhase::kAccept)) return Malformed("phase");
  return RegisterAsk{{static_cast<RegisterPhase>(wire->phase()), DecodeBallot(wire->ballot()),
                      std::move(*wire->mutable_value())},
                     std::move(*wire->mutable_delta())};
}

absl::StatusOr<PeerBody> DecodeTopologyNews(peer::TopologyNews* wire) {
  if (!InRange(wire->asks(), TopologyNews::Asks::kWhole)) return Malformed("asks");
  return TopologyNews{std::move(*wire->mutable_topology()), std::move(*wire->mutable_delta()),
                      static_cast<TopologyNews::Asks>(wire->asks())};
}

absl::StatusOr<PeerBody> DecodeMovesDue(const peer::MovesDue& wire) {
  MovesDue due;
  const auto take = [](const auto& moves, std::vector<MoveRef>* refs) {
    refs->reserve(static_cast<size_t>(moves.size()));
    for (const peer::MovesDue::Move& move : moves) {
      refs->push_back({PartitionId::FromValue(move.partition()), Epoch(move.since())});
    }
  };
  take(wire.filled(), &due.filled);
  take(wire.ends(), &due.ends);
  return due;
}

absl::StatusOr<PeerBody> DecodeRegisterAnswer(peer::RegisterAnswer* wire) {
  if (!InRange(wire->phase(), RegisterPhase::kAccept)) return Malformed("phase");
  RegisterReply reply;
  reply.phase = static_cast<RegisterPhase>(wire->phase());
  reply.ballot = DecodeBallot(wire->ballot());
  reply.granted = wire->granted();
  reply.promised = DecodeBallot(wire->promised());
  reply.accepted = DecodeBallot(wire->accepted());
  reply.value = std::move(*wire->mutable_value());
  reply.life = wire->life();
  return RegisterAnswer{std::move(reply), std::move(*wire->mutable_delta())};
}

absl::StatusOr<PeerBody> DecodeFailed(const peer::Failed& wire) {
  for (const Outcome::Code code : {Outcome::Code::kOverloaded, Outcome::Code::kStorageFailed,
                                   Outcome::Code::kCorrupt, Outcome::Code::kFilling}) {
    if (wire.code() == static_cast<uint32_t>(code)) return Failed{code};
  }
  return Malformed("failure");
}

absl::StatusOr<PeerBody> DecodeHint(PartitionId partition, peer::Hint* wire) {
  if (!InRange(wire->durability(), Durability::kPeriodic)) return Malformed("durability");
  if (wire->owner() == 0) return Malformed("owner");
  absl::StatusOr<ExplainedRecord> change = DecodeRecordPart(partition, wire->mutable_change());
  if (!change.ok()) return change.status();
  return Hint{NodeId(wire->owner()), *std::move(change),
              static_cast<Durability>(wire->durability()), wire->ownerless()};
}

absl::StatusOr<PeerBody> DecodeFetchHints(PartitionId partition, peer::FetchHints* wire) {
  absl::StatusOr<ItemKey> item = DecodeItem(partition, wire->table(), wire->mutable_key());
  if (!item.ok()) return item.status();
  return FetchHints{*std::move(item)};
}

absl::StatusOr<PeerBody> DecodeHandoff(PartitionId partition, peer::Handoff* wire) {
  absl::StatusOr<ExplainedRecord> change = DecodeRecordPart(partition, wire->mutable_change());
  if (!change.ok()) return change.status();
  return Handoff{*std::move(change)};
}

absl::StatusOr<PeerBody> DecodeMembership(Epoch epoch, const peer::Membership& wire) {
  if (!InRange(wire.kind(), MembershipMessage::Kind::kAskAll) ||
      !InRange(wire.load(), Load::kFull) || wire.rumours_size() > static_cast<int>(kMaxRumours)) {
    return Malformed("membership message");
  }
  MembershipMessage message;
  message.kind = static_cast<MembershipMessage::Kind>(wire.kind());
  message.sequence = wire.sequence();
  message.about = NodeId(wire.about());
  message.epoch = epoch;
  message.incarnation = wire.incarnation();
  message.load_version = wire.load_version();
  message.load = static_cast<Load>(wire.load());
  message.wall_ms = wire.wall_ms();
  message.rumours.reserve(static_cast<size_t>(wire.rumours_size()));
  for (const peer::Membership::Rumour& rumour : wire.rumours()) {
    if (!InRange(rumour.liveness(), Liveness::kDead) || !InRange(rumour.load(), Load::kFull)) {
      return Malformed("rumour");
    }
    message.rumours.push_back({NodeId(rumour.node()), static_cast<Liveness>(rumour.liveness()),
                               rumour.incarnation(), NodeId(rumour.by()), rumour.load_version(),
                               static_cast<Load>(rumour.load())});
  }
  return message;
}

absl::StatusOr<PeerBody> DecodeBody(PartitionId partition, peer::PeerMessage* wire) {
  switch (wire->body_case()) {
    case peer::PeerMessage::kApply:
      return DecodeApply(partition, wire->mutable_apply());
    case peer::PeerMessage::kApplyReply:
      return ApplyReply{};
    case peer::PeerMessage::kFetch:
      return DecodeFetch(partition, wire->mutable_fetch());
    case peer::PeerMessage::kFetchReply:
      return DecodeFetchReply(partition, wire->mutable_fetch_reply());
    case peer::PeerMessage::kLookup:
      return DecodeLookup(partition, wire->mutable_lookup());
    case peer::PeerMessage::kLookupReply:
      return DecodeLookupReply(partition, wire->mutable_lookup_reply());
    case peer::PeerMessage::kClockAsk:
      return DecodeClockAsk(wire->clock_ask());
    case peer::PeerMessage::kClockAnswer:
      return DecodeClockAnswer(partition, wire->mutable_clock_answer());
    case peer::PeerMessage::kForward:
      return DecodeForward(partition, wire->mutable_forward());
    case peer::PeerMessage::kForwardReply:
      return DecodeForwardReply(wire->forward_reply());
    case peer::PeerMessage::kRefused:
      return Refused{std::move(*wire->mutable_refused()->mutable_topology()),
                     std::move(*wire->mutable_refused()->mutable_delta())};
    case peer::PeerMessage::kRegisterAsk:
      return DecodeRegisterAsk(wire->mutable_register_ask());
    case peer::PeerMessage::kRegisterAnswer:
      return DecodeRegisterAnswer(wire->mutable_register_answer());
    case peer::PeerMessage::kTopologyNews:
      return DecodeTopologyNews(wire->mutable_topology_news());
    case peer::PeerMessage::kFailed:
      return DecodeFailed(wire->failed());
    case peer::PeerMessage::kHint:
      return DecodeHint(partition, wire->mutable_hint());
    case peer::PeerMessage::kHintReply:
      return HintReply{};
    case peer::PeerMessage::kFetchHints:
      return DecodeFetchHints(partition, wire->mutable_fetch_hints());
    case peer::PeerMessage::kHandoff:
      return DecodeHandoff(partition, wire->mutable_handoff());
    case peer::PeerMessage::kCopyAsk:
      return DecodeCopyAsk(partition, wire->mutable_copy_ask());
    case peer::PeerMessage::kCopyPage:
      return DecodeCopyPage(partition, wire->mutable_copy_page());
    case peer::PeerMessage::kSliceAsk:
      return DecodeSliceAsk(wire->mutable_slice_ask());
    case peer::PeerMessage::kSliceAnswer:
      return DecodeSliceAnswer(partition, wire->mutable_slice_answer());
    case peer::PeerMessage::kDoubt:
      return DecodeDoubt(partition, wire->mutable_doubt());
    case peer::PeerMessage::kMovesDue:
      return DecodeMovesDue(wire->moves_due());
    case peer::PeerMessage::kMembership:
      return DecodeMembership(Epoch(wire->epoch()), wire->membership());
    case peer::PeerMessage::BODY_NOT_SET:
      break;
  }
  return Malformed("body");
}

// ------------------------------------------------------------------------------------------ sizes

size_t BytesOf(const ExplainedRecord& explained) {
  size_t bytes = explained.item.key.size() + explained.minted.size() * kRoughDotBytes;
  if (explained.record == nullptr) return bytes;
  bytes += explained.record->context.size() * kRoughDotBytes;
  for (const Version& version : explained.record->versions) {
    bytes += version.value.size() + kRoughDotBytes;
  }
  return bytes;
}

size_t BytesOf(const PartitionClock& clock) {
  size_t words = 0;
  for (const PartitionClock::Entry& entry : clock.entries()) words += 2 + entry.above.size();
  return words * 16;
}

struct BodyBytes {
  size_t operator()(const Apply& apply) const { return BytesOf(apply.change); }
  size_t operator()(const ApplyReply&) const { return 0; }
  size_t operator()(const Fetch& fetch) const {
    return fetch.item.key.size() + fetch.known.size() * kRoughDotBytes;
  }
  size_t operator()(const FetchReply& reply) const {
    return BytesOf(reply.found) + (reply.clock.has_value() ? BytesOf(*reply.clock) : 0);
  }
  size_t operator()(const Lookup& lookup) const { return lookup.item.key.size(); }
  size_t operator()(const LookupReply& reply) const { return BytesOf(reply.found); }
  size_t operator()(const ClockAsk& ask) const { return BytesOf(ask.clock); }
  size_t operator()(const ClockAnswer& answer) const {
    size_t bytes = answer.bases.size() * kRoughDotBytes;
    for (const ExplainedRecord& item : answer.items) bytes += BytesOf(item);
    return bytes;
  }
  size_t operator()(const CopyAsk& ask) const {
    size_t bytes = ask.after.size();
    for (const ItemKey& item : ask.items) bytes += item.key.size() + kRoughDotBytes;
    return bytes;
  }
  size_t operator()(const CopyPage& page) const {
    size_t bytes = page.upto.size() + page.clock.entries().size() * kRoughDotBytes;
    for (const ExplainedRecord& item : page.items) bytes += BytesOf(item);
    for (const LogRow& row : page.log) bytes += row.item.key.size() + kRoughDotBytes;
    for (const ItemKey& item : page.damaged) bytes += item.key.size() + kRoughDotBytes;
    return bytes + page.unread_to.size();
  }
  size_t operator()(const SliceAsk& ask) const { return ask.after.size() + ask.upto.size(); }
  size_t operator()(const SliceAnswer& answer) const {
    size_t bytes = answer.upto.size();
    for (const ItemDigest& item : answer.items) bytes += item.item.key.size() + kRoughDotBytes;
    return bytes;
  }
  size_t operator()(const Doubt& doubt) const { return doubt.item.key.size(); }
  size_t operator()(const Forward& forward) const {
    return forward.request.item.key.size() + forward.request.intent.value.size();
  }
  size_t operator()(const ForwardReply& reply) const {
    return (reply.outcome.context.vector.size() + reply.outcome.parts.size()) * kRoughDotBytes;
  }
  size_t operator()(const Refused& refused) const {
    return refused.topology.size() + refused.delta.size();
  }
  size_t operator()(const RegisterAsk& ask) const {
    return ask.request.value.size() + ask.delta.size();
  }
  size_t operator()(const RegisterAnswer& answer) const {
    return answer.reply.value.size() + answer.delta.size();
  }
  size_t operator()(const TopologyNews& news) const {
    return news.topology.size() + news.delta.size();
  }
  size_t operator()(const MovesDue& due) const {
    return (due.filled.size() + due.ends.size()) * kRoughDotBytes;
  }
  size_t operator()(const Failed&) const { return 0; }
  size_t operator()(const Hint& hint) const { return BytesOf(hint.change); }
  size_t operator()(const HintReply&) const { return 0; }
  size_t operator()(const FetchHints& fetch) const { return fetch.item.key.size(); }
  size_t operator()(const Handoff& handoff) const { return BytesOf(handoff.change); }
  size_t operator()(const MembershipMessage& message) const {
    return message.rumours.size() * kRoughRumourBytes;
  }
};

}  // namespace

void EncodePeerMessage(const PeerMessage& message, peer::PeerMessage* out) {
  out->set_exchange(message.exchange);
  out->set_epoch(message.epoch.value());
  out->set_partition(message.partition.value());
  std::visit(BodyEncoder{out}, message.body);
}

absl::StatusOr<PeerMessage> DecodePeerMessage(peer::PeerMessage* wire) {
  const PartitionId partition = PartitionId::FromValue(wire->partition());
  const bool about_an_item =
      !wire->has_register_ask() && !wire->has_register_answer() && !wire->has_topology_news();
  if (wire->has_membership() || wire->has_moves_due()) {
    if (partition != PartitionId() || wire->exchange() != 0) return Malformed("address");
  } else if (partition.replicas() > kMaxReplicas ||
             (about_an_item && !wire->has_refused() && partition == PartitionId())) {
    return Malformed("partition");
  }
  absl::StatusOr<PeerBody> body = DecodeBody(partition, wire);
  if (!body.ok()) return body.status();
  return PeerMessage{wire->exchange(), Epoch(wire->epoch()), partition, *std::move(body)};
}

size_t ApproximateBytes(const PeerMessage& message) {
  return kRoughHeaderBytes + std::visit(BodyBytes{}, message.body);
}

}  // namespace gyre
