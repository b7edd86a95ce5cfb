#include "storage/version/reference_model.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ring/check.h"

namespace gyre {
ReferenceModel::Events ReferenceModel::Disk::History() const {
  Events history = 0;
  for (const Copy& copy : copies) history |= copy.history;
  return history;
}

void ReferenceModel::Disk::Reset() {
  for (Copy& copy : copies) {
    copy.record.versions.clear();
    copy.record.context.Clear();
    copy.history = 0;
  }
  clock = PartitionClock();
  log = 0;
  counter = 0;
  reported = 0;
}

void ReferenceModel::Reset(uint64_t seed) {
  random_ = Random(seed);
  last_id_ = 0;
  events_ = 0;
  of_key_ = {};
  puts_ = waiting_ = acknowledged_ = sloppy_ = 0;
  for (Node& node : nodes_) {
    node.memory.Reset();
    node.disk.Reset();
    node.id = NewId();
    node.unsynced = false;
  }
  for (StandIn& stand_in : stand_ins_) {
    for (auto& keys : stand_in.hints) {
      for (Hint& hint : keys) hint.present = false;
    }
    stand_in.guest = NewId();
    stand_in.counter = 0;
  }
  for (auto& keys : clients_) {
    for (Seen& seen : keys) seen = Seen();
  }
  messages_.clear();
  owners_ = 0b0111;
  filling_ = touched_ = 0;
  move_.reset();
  refill_.reset();
  fsync_ = random_.Chance(1, 2);
  failure_.reset();
}

std::optional<std::string> ReferenceModel::Play(uint64_t seed) {
  Reset(seed);
  const auto steps = random_.Between(scenario_.min_steps, scenario_.max_steps);
  for (int64_t i = 0; i < steps && !failure_; ++i) {
    Step();
    Acknowledge();
    Check();
    if (Percent(30)) SyncDisk(Pick(Targets()));
  }
  if (!failure_) Settle();
  return failure_;
}

std::optional<std::string> ReferenceModel::PlayTraced(uint64_t seed, std::string* trace) {
  trace_ = trace;
  std::optional<std::string> failure = Play(seed);
  trace_ = nullptr;
  return failure;
}

void ReferenceModel::Step() {
  using Do = void (ReferenceModel::*)();
  const std::pair<int, Do> steps[] = {
      {scenario_.write, &ReferenceModel::Write},
      {scenario_.deliver, &ReferenceModel::Deliver},
      {scenario_.read, &ReferenceModel::Read},
      {scenario_.anti_entropy, &ReferenceModel::AntiEntropy},
      {scenario_.hand_off, &ReferenceModel::HandOff},
      {scenario_.report, &ReferenceModel::Report},
      {scenario_.crash, &ReferenceModel::Crash},
      {scenario_.wipe, &ReferenceModel::Wipe},
      {scenario_.refill, &ReferenceModel::Refill},
      {scenario_.move, &ReferenceModel::StartMove},
      {scenario_.copy, &ReferenceModel::CopyChunk},
      {scenario_.expire, &ReferenceModel::Expire},
  };
  int total = 0;
  for (const auto& [weight, step] : steps) total += weight;
  auto drawn = static_cast<int>(random_.Below(static_cast<uint64_t>(total)));
  for (const auto& [weight, step] : steps) {
    if (drawn < weight) return (this->*step)();
    drawn -= weight;
  }
}

// --- What clients do ---------------------------------------------------------------------------

void ReferenceModel::Write() {
  if (events_ == kMaxEvents) return;
  const auto key = static_cast<int>(random_.Below(kKeys));
  const Seen seen = Percent(80) ? clients_[random_.Below(kClients)][key] : Seen();
  const int event = NewEvent(key, seen);
  if (Percent(scenario_.guest_percent)) return GuestWrite(key, seen, event);
  if (Readable() == 0) return;
  const int owner = Pick(Readable());
  Disk& memory = nodes_[owner].memory;
  Note("write", event, owner, key);

  Message message{0, key, {Filled(owner, key), memory.copies[key].history}, Bit(event)};
  Discard(&message.copy.record, seen.context);
  Mint(event, nodes_[owner].id, ++memory.counter, &message.copy.record);
  message.copy.history |= seen.history | Bit(event);
  memory.clock.Add(dots_[event]);
  memory.log |= Bit(event);
  Store(owner, key, message.copy.record, message.copy.history);
  if (fsync_) SyncDisk(owner);
  waiting_ |= Bit(event);
  ForEach(Targets() & ~NodeBit(owner), [&](int to) {
    message.to = to;
    if (Percent(scenario_.hint_percent)) {
      LeaveHint(static_cast<int>(random_.Below(kStandIns)), message);
    } else {
      messages_.push_back(message);
    }
  });
}

// No owner could be reached: a stand-in mints, and holds a hint for each.
void ReferenceModel::GuestWrite(int key, const Seen& seen, int event) {
  const auto d = static_cast<int>(random_.Below(kStandIns));
  StandIn& stand_in = stand_ins_[d];
  Note("guest write", event, d, key);
  Message message{0, key, {}, Bit(event)};
  Copy& copy = message.copy;
  for (const auto& keys : stand_in.hints) {
    if (!keys[key].present) continue;
    copy.record = Sync(std::move(copy.record), keys[key].copy.record);
    copy.history |= keys[key].copy.history;
  }
  Discard(&copy.record, seen.context);
  Mint(event, stand_in.guest, ++stand_in.counter, &copy.record);
  copy.history |= seen.history | Bit(event);
  ForEach(owners_, [&](int owner) {
    message.to = owner;
    LeaveHint(d, message);
  });
  sloppy_ |= Bit(event);
}

// One to three owners answer, sometimes stand-ins as well; sometimes one that answered is repaired.
void ReferenceModel::Read() {
  const auto key = static_cast<int>(random_.Below(kKeys));
  const auto asked = static_cast<uint8_t>(random_.Between(1, 15));
  const uint8_t answering = Readable() & asked;
  if (answering == 0) return;
  Note("read", answering, key);
  Copy merged;
  Events explained = 0;
  ForEach(answering, [&](int owner) {
    const Disk& memory = nodes_[owner].memory;
    merged.record = Sync(std::move(merged.record), Filled(owner, key));
    merged.history |= memory.copies[key].history;
    explained |= memory.log & of_key_[key];
  });
  const Copy repair = merged;
  if (Percent(30)) {
    for (const StandIn& stand_in : stand_ins_) {
      for (const auto& keys : stand_in.hints) {
        if (!keys[key].present) continue;
        merged.record = Sync(std::move(merged.record), keys[key].copy.record);
        merged.history |= keys[key].copy.history;
      }
    }
  }
  CheckCopy(merged.record, merged.history, key, "read");
  clients_[random_.Below(kClients)][key] = {merged.record.context, merged.history};
  if (std::popcount(answering) > 1 && Percent(30)) {
    Apply(Pick(answering), key, repair, Broken(kExplain) ? 0 : explained);
  }
}

int ReferenceModel::NewEvent(int key, const Seen& seen) {
  const int event = events_++;
  past_[event] = seen.history;
  of_key_[key] |= Bit(event);
  if (Percent(70)) {
    puts_ |= Bit(event);
  } else {
    puts_ &= ~Bit(event);
  }
  dots_[event] = Dot();
  copies_lost_[event] = 0;
  expiry_[event] = -1;
  return event;
}

void ReferenceModel::Mint(int event, ReplicaId replica, uint64_t counter, Record* record) {
  const Dot dot{replica, counter};
  bool again = record->context.Covers(dot);
  for (int other = 0; other < event; ++other) again |= dots_[other] == dot;
  if (again && !Broken(kRemint)) Fail(absl::StrCat("write ", event, ": its dot was minted before"));
  dots_[event] = dot;
  if ((puts_ & Bit(event)) == 0 || again) {
    record->context.RaiseTo(dot);
    if ((puts_ & Bit(event)) == 0) return;
    std::erase_if(record->versions, [&dot](const Version& version) { return version.dot == dot; });
    const auto at = std::find_if(record->versions.begin(), record->versions.end(),
                                 [&dot](const Version& version) { return dot < version.dot; });
    record->versions.insert(at, {dot, 0, std::string(1, static_cast<char>(event))});
    return;
  }
  AddVersion(record, {dot, 0, std::string(1, static_cast<char>(event))});
}

ReplicaId ReferenceModel::NewId() {
  return ReplicaId(random_.Below(1 << 20) << 8 | ++last_id_);  // in no order, never twice
}

// --- What owners and stand-ins do --------------------------------------------------------------

Record ReferenceModel::Filled(int node, int key) const {
  const Disk& memory = nodes_[node].memory;
  Record record = memory.copies[key].record;
  if (!Broken(kFill)) Fill(&record, memory.clock);
  return record;
}

void ReferenceModel::Store(int node, int key, Record record, Events history) {
  Disk& memory = nodes_[node].memory;
  Strip(&record, memory.clock);
  memory.copies[key].record = Erasable(record) ? Record() : std::move(record);
  memory.copies[key].history = history;
  nodes_[node].unsynced = true;
  touched_ |= NodeBit(node);
}

void ReferenceModel::Apply(int node, int key, const Copy& copy, Events dots) {
  Disk& memory = nodes_[node].memory;
  Record merged = Sync(Filled(node, key), copy.record);
  dots |= Shown(copy.record);
  ForEach(dots, [&](int event) { memory.clock.Add(dots_[event]); });
  memory.log |= dots;
  Store(node, key, std::move(merged), memory.copies[key].history | copy.history);
}

// Its time has come, at the latest now, and an owner removes it.
void ReferenceModel::Expire() {
  const int owner = Pick(Targets());
  const auto key = static_cast<int>(random_.Below(kKeys));
  const auto& versions = nodes_[owner].memory.copies[key].record.versions;
  if (versions.empty()) return;
  const int event = versions[random_.Below(versions.size())].value.view()[0];
  if (expiry_[event] < 0) {
    if (events_ == kMaxEvents) return;
    const int expiry = events_++;
    past_[expiry] = Bit(event);
    puts_ &= ~Bit(expiry);
    dots_[expiry] = Dot();  // it needs none
    copies_lost_[expiry] = 0;
    expiry_[expiry] = -1;
    expiry_[event] = expiry;
  }
  Note("expire", event, owner, key);
  RemoveExpired(owner, key, event);
}

void ReferenceModel::RemoveExpired(int node, int key, int event) {
  const Copy& copy = nodes_[node].memory.copies[key];
  Record record = copy.record;
  for (Version& version : record.versions) {
    if (version.dot == dots_[event]) version.expires_ms = 1;
  }
  DropExpired(&record, 1);
  if (Broken(kCovered)) record.context.EraseCoveredBy(VersionVector{dots_[event]});
  Store(node, key, std::move(record), copy.history | Bit(expiry_[event]));
}

void ReferenceModel::SyncDisk(int node) {
  if (!nodes_[node].unsynced) return;
  nodes_[node].disk = nodes_[node].memory;
  nodes_[node].unsynced = false;
}

void ReferenceModel::Deliver() {
  if (messages_.empty()) return;
  const size_t i = random_.Below(messages_.size());
  const uint64_t luck = random_.Below(100);
  if (luck < 15) {  // delivered now and again later
    const Message again = messages_[i];
    Note("deliver twice", again.to, again.key);
    return Apply(again.to, again.key, again.copy, again.dots);
  }
  std::swap(messages_[i], messages_.back());
  const Message message = std::move(messages_.back());
  messages_.pop_back();
  if (luck < 30) return;  // lost
  Note("deliver", message.to, message.key);
  Apply(message.to, message.key, message.copy, message.dots);
}

void ReferenceModel::LeaveHint(int stand_in, const Message& message) {
  Hint& hint = stand_ins_[stand_in].hints[message.to][message.key];
  if (!hint.present) {
    hint = {true, message.copy, message.dots};
    return;
  }
  hint.copy.record = Sync(std::move(hint.copy.record), message.copy.record);
  hint.copy.history |= message.copy.history;
  hint.dots |= message.dots;
}

void ReferenceModel::ApplyHint(int node, int key, const Hint& hint) {
  Apply(node, key, hint.copy, hint.dots);
  SyncDisk(node);  // only then may the stand-in forget it
}

void ReferenceModel::HandOff() {
  StandIn& stand_in = stand_ins_[random_.Below(kStandIns)];
  uint64_t held = 0;
  for (int i = 0; i < kNodes * kKeys; ++i) {
    if (stand_in.hints[i / kKeys][i % kKeys].present) held |= Bit(i);
  }
  if (held == 0) return;
  for (uint64_t skip = random_.Below(std::popcount(held)); skip > 0; --skip) held &= held - 1;
  const int to = std::countr_zero(held) / kKeys;
  const int key = std::countr_zero(held) % kKeys;
  Note("hand off", to, key);
  Hint& hint = stand_in.hints[to][key];
  hint.present = false;
  uint8_t receivers = NodeBit(to) & owners_;
  if (receivers == 0 && !Broken(kLostHint)) receivers = owners_;  // its owner was replaced
  if (move_ && move_->from == to) receivers |= NodeBit(move_->transfer.to);
  ForEach(receivers, [&](int node) { ApplyHint(node, key, hint); });
  if (stand_in.counter > 0 && !Broken(kGuest)) {
    stand_in.guest = NewId();
    stand_in.counter = 0;
  }
}

void ReferenceModel::AntiEntropy() {
  const int to = Pick(owners_);
  const int from = Pick(owners_ & ~NodeBit(to));
  if ((filling_ & NodeBit(from)) != 0) return;
  if ((filling_ & NodeBit(to)) != 0 && !Broken(kFilling)) return;
  Exchange(to, from, Percent(30));
}

// `from` sends what `to` lacks, as of now; then, if nothing broke, `to` joins its bases.
void ReferenceModel::Exchange(int to, int from, bool breaks) {
  Note(breaks ? "broken exchange" : "exchange", to, from);
  const Disk& source = nodes_[from].memory;
  const PartitionClock theirs = nodes_[to].memory.clock;
  const size_t max_ranges = random_.Chance(1, 4) ? 1 : 64;
  Events missing = 0;
  Dot after;
  for (bool complete = false; !complete;) {
    const MissingDots found = source.clock.MissingFrom(theirs, max_ranges, after);
    for (const DotRange& range : found.ranges) {
      ForEach(source.log, [&](int event) {
        const Dot& dot = dots_[event];
        if (dot.replica == range.replica && dot.counter >= range.first &&
            dot.counter <= range.last) {
          missing |= Bit(event);
        }
      });
      after = {range.replica, range.last};
    }
    complete = found.complete;
  }
  int keys = 0;
  for (int key = 0; key < kKeys; ++key) keys += (missing & of_key_[key]) != 0;
  int budget = breaks ? keys / 2 : keys;
  for (int key = 0; key < kKeys; ++key) {
    if ((missing & of_key_[key]) == 0 || budget-- <= 0) continue;
    Apply(to, key, {Filled(from, key), source.copies[key].history}, missing & of_key_[key]);
  }
  if (breaks && !Broken(kBase)) return;
  SyncDisk(to);  // the records are durable before the bases are believed
  nodes_[to].memory.clock.JoinBases(source.clock.Bases());
  nodes_[to].unsynced = true;
  SyncDisk(to);
  touched_ |= NodeBit(to);
}

// An owner tells its bases; each of the others prunes its log behind what all have reported.
void ReferenceModel::Report() {
  const int owner = Pick(owners_);
  if ((filling_ & NodeBit(owner)) != 0 || move_) return;
  Note("report", owner);
  const Node& node = nodes_[owner];
  const VersionVector bases = (Broken(kWatermark) ? node.memory : node.disk).clock.Bases();
  ForEach(owners_, [&](int other) {
    Disk& memory = nodes_[other].memory;
    if (other != owner) {
      memory.reports[owner] = bases;
      memory.reported |= NodeBit(owner);
      nodes_[other].unsynced = true;
    }
    if (filling_ != 0 || memory.reported != (owners_ & ~NodeBit(other))) return;
    ForEach(memory.log, [&](int event) {
      const Dot& dot = dots_[event];
      bool all = nodes_[other].disk.clock.Base(dot.replica) >= dot.counter;
      ForEach(memory.reported, [&](int peer) { all &= memory.reports[peer].Covers(dot); });
      if (all) memory.log &= ~Bit(event);
    });
  });
}

void ReferenceModel::StartEmpty(int node) {
  nodes_[node].memory.Reset();
  nodes_[node].disk.Reset();
  nodes_[node].unsynced = false;
  nodes_[node].id = NewId();
}

void ReferenceModel::Crash() {
  const int owner = Pick(Targets());
  Note("crash", owner);
  Node& node = nodes_[owner];
  node.memory = node.disk;
  node.unsynced = false;
  touched_ |= NodeBit(owner);
  if (!fsync_ && !Broken(kLife) && !Broken(kRemint)) {
    node.id = NewId();
    node.memory.counter = node.disk.counter = 0;
  }
}

void ReferenceModel::ForgetReports(int node) {
  for (Node& other : nodes_) {
    other.memory.reported &= ~NodeBit(node);
    other.disk.reported &= ~NodeBit(node);
  }
}

void ReferenceModel::Wipe() {
  const int owner = Pick(owners_);
  if (filling_ != 0) return;
  Note("wipe", owner);
  Node& node = nodes_[owner];
  const uint64_t counter = node.memory.counter;
  ForEach(sloppy_ & node.disk.History(), [&](int event) {
    if (++copies_lost_[event] >= kWriteQuorum) sloppy_ &= ~Bit(event);
  });
  const ReplicaId old_life = node.id;
  StartEmpty(owner);
  if (Broken(kAmnesia)) {
    node.id = old_life;
    node.memory.counter = counter;
  }
  if (!Broken(kForgotten)) ForgetReports(owner);
  filling_ |= NodeBit(owner);
}

void ReferenceModel::Refill() {
  if (filling_ == 0) return;
  if (!refill_) refill_ = Transfer{std::countr_zero(filling_), 0, 0, {}, {}};
  Advance(&*refill_, Readable());
  if (refill_->keys_left != 0) return;
  Note("refilled", refill_->to);
  TakeOver(*refill_);
  SyncDisk(refill_->to);
  filling_ = 0;
  refill_.reset();
}

// --- A change of owners ------------------------------------------------------------------------

// Copies the next key. From the beginning, with other sources or after one of them lost state; what
// an earlier attempt copied is dropped then, since its records reflect writes that only the lost
// snapshot's clock and log explain.
void ReferenceModel::Advance(Transfer* transfer, uint8_t sources) {
  std::vector<ReplicaId> lives;
  ForEach(sources, [&](int node) { lives.push_back(nodes_[node].id); });
  if (transfer->sources != sources || transfer->lives != lives) {
    if (transfer->sources != 0 && !Broken(kStartAnew)) StartEmpty(transfer->to);
    transfer->keys_left = Bit(kKeys) - 1;
    transfer->sources = sources;
    transfer->lives = std::move(lives);
    transfer->snapshots.clear();
    ForEach(sources, [&](int node) { transfer->snapshots.push_back(nodes_[node].disk); });
  }
  if (transfer->keys_left != 0 && Percent(60)) CopyKey(transfer);
}

void ReferenceModel::CopyKey(Transfer* transfer) {
  const int to = transfer->to;
  const int key = std::countr_zero(transfer->keys_left);
  transfer->keys_left &= transfer->keys_left - 1;
  Note("copy", key, transfer->sources, to);
  size_t next = 0;
  ForEach(transfer->sources, [&](int node) {
    const Disk& snapshot = transfer->snapshots[next++];
    const Disk& read = Broken(kMixed) ? nodes_[node].memory : snapshot;
    Copy copy = read.copies[key];
    Fill(&copy.record, read.clock);
    Apply(to, key, copy, 0);
    if (Broken(kEarlyBase)) nodes_[to].memory.clock.JoinBases(snapshot.clock.Bases());
  });
  SyncDisk(to);
}

// Takes over the clocks and logs of the snapshots. Only after the last record is in.
void ReferenceModel::TakeOver(const Transfer& transfer) {
  Disk& memory = nodes_[transfer.to].memory;
  for (const Disk& snapshot : transfer.snapshots) {
    memory.clock.JoinAll(snapshot.clock);
    memory.log |= snapshot.log;
  }
  nodes_[transfer.to].unsynced = true;
  touched_ |= NodeBit(transfer.to);
}

void ReferenceModel::StartMove() {
  if (move_ || filling_ != 0) return;
  Move move;
  move.from = Pick(owners_);
  move.transfer.to = std::countr_zero(static_cast<uint8_t>(~owners_));
  Note("start move", move.from, move.transfer.to);
  StartEmpty(move.transfer.to);
  move_ = std::move(move);
  waiting_ = 0;  // fenced by the new epoch: their clients hear "unknown"
}

void ReferenceModel::CopyChunk() {
  if (!move_) return;
  const bool dead = (filling_ & NodeBit(move_->from)) != 0;
  const auto others = static_cast<uint8_t>(Readable() & ~NodeBit(move_->from));
  uint8_t sources = dead ? others : NodeBit(move_->from);
  if (Broken(kOneSource)) sources = NodeBit(std::countr_zero(others));
  Advance(&move_->transfer, sources);
  if (move_->transfer.keys_left == 0 || (Broken(kEarlyFlip) && Percent(30))) FinishMove();
}

void ReferenceModel::FinishMove() {
  const Move move = *std::exchange(move_, std::nullopt);
  const int to = move.transfer.to;
  Note("flip", move.from, to);
  if (move.transfer.keys_left == 0) TakeOver(move.transfer);
  SyncDisk(to);
  owners_ = static_cast<uint8_t>((owners_ & ~NodeBit(move.from)) | NodeBit(to));
  if ((filling_ & NodeBit(move.from)) != 0) {
    filling_ = 0;
    refill_.reset();
  }
  waiting_ = 0;
  std::erase_if(messages_, [&](const Message& message) { return message.to == move.from; });
  ForgetReports(move.from);
  ForgetReports(to);
  touched_ |= owners_;
}

uint8_t ReferenceModel::Targets() const {
  if (!move_ || Broken(kOldOnly)) return owners_;
  return owners_ | NodeBit(move_->transfer.to);
}

uint8_t ReferenceModel::OwnersAfterMove() const {
  if (!move_ || Broken(kOldOnly)) return owners_;
  return static_cast<uint8_t>((owners_ & ~NodeBit(move_->from)) | NodeBit(move_->transfer.to));
}

int ReferenceModel::Pick(uint8_t nodes) {
  GYRE_CHECK(nodes != 0, "nobody to pick");
  for (uint64_t skip = random_.Below(std::popcount(nodes)); skip > 0; --skip) nodes &= nodes - 1;
  return std::countr_zero(nodes);
}

}  // namespace gyre
