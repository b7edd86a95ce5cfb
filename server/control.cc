#include "server/control.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "ring/check.h"
#include "ring/topology_delta.h"
#include "ring/voters.h"
#include "storage/keys.h"

namespace gyre {
namespace {

// How often, at most, a node that is behind is sent the document again, and asks for it.
constexpr Duration kTellAgainAfter = Duration::Millis(200);

// All here serve under the message's epoch.
TopologyNews Serving() { return {""}; }

std::string TopologyKey() { return EncodeNodeKey("topology"); }
std::string AcceptorKey() { return EncodeNodeKey("acceptor"); }

// `first`: of what the register holds before the first change.
VoterSets VotersOf(Documents* documents, const VoterSets& first, const std::string& value) {
  if (value.empty()) return first;
  const absl::StatusOr<DocumentPtr> document = documents->Read(value);
  GYRE_CHECK(document.ok(), "a value is proposed, and taken from a promise, only if it is sound");
  return VoterSetsOf((*document)->topology);
}

}  // namespace

absl::StatusOr<std::optional<Topology>> Control::LoadTopology(const Snapshot& snapshot) {
  const absl::StatusOr<std::string> bytes = snapshot.Get(Family::kMeta, TopologyKey());
  if (absl::IsNotFound(bytes.status())) return std::nullopt;
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<Topology> topology = DecodeTopology(*bytes);
  if (!topology.ok()) return topology.status();
  return *std::move(topology);
}

WriteBatch Control::StoreBatch(const Topology& topology) {
  WriteBatch batch;
  batch.Put(Family::kMeta, TopologyKey(), EncodeTopology(topology));
  return batch;
}

absl::StatusOr<Control::Durable> Control::Load(const Snapshot& snapshot, const Topology& initial,
                                               Standing standing) {
  Durable durable{initial, {}};
  absl::StatusOr<std::optional<Topology>> topology = LoadTopology(snapshot);
  if (!topology.ok()) return topology.status();
  if (topology->has_value()) durable.topology = **std::move(topology);
  const absl::StatusOr<std::string> bytes = snapshot.Get(Family::kMeta, AcceptorKey());
  bool votes_as_ever = false;
  if (bytes.ok()) {
    // Of a build that knew of no lives: what was lost has voted under the node's id since, and a
    // majority of such may not go silent at once.
    votes_as_ever = !AcceptorStateHasLife(*bytes);
    absl::StatusOr<AcceptorState> acceptor = DecodeAcceptorState(*bytes);
    if (!acceptor.ok()) return acceptor.status();
    durable.acceptor = *std::move(acceptor);
  } else if (!absl::IsNotFound(bytes.status())) {
    return bytes.status();
  }
  if (standing == Standing::kUnproven) durable.memory = Memory::kUnknown;
  // It is told once, and may have ended before the new life was durable.
  const bool began = durable.acceptor.life != 0 || votes_as_ever;
  if (standing == Standing::kReplaced && !began) durable.memory = Memory::kLost;
  return durable;
}

Control::Control(std::shared_ptr<const View> view, Topology initial, AcceptorState acceptor,
                 Memory memory, Random random, std::shared_ptr<Documents> documents,
                 BuildLevel level)
    : documents_(std::move(documents)),
      view_(std::move(view)),
      acceptor_(std::move(acceptor)),
      memory_(memory),
      initial_(documents_->Of(std::move(initial))),
      random_(random),
      installed_(view_->epoch()),
      level_(level) {
  GYRE_CHECK(view_->topology().level <= level_, "a node that was outgrown does not start");
  levels_[view_->self()] = level_;
  next_round_ = acceptor_.state().promised.round + 1;
  next_exchange_ = random_.Next() << 40 | 1;
  kept_.push_back(documents_->Of(view_->topology()));
  if (memory_ == Memory::kLost) BeginLife();
}

// ------------------------------------------------------------------------------------------
// proposing

void Control::Propose(uint64_t token, Change change, Instant now, Duration spread_patience) {
  if (failed_) {
    out_.done.push_back({token, absl::InternalError("the disk of this node failed")});
    return;
  }
  Begin(token, std::move(change), now, spread_patience);
}

void Control::Begin(std::optional<uint64_t> token, Change change, Instant now,
                    Duration spread_patience) {
  const ExchangeId id = next_exchange_++;
  Proposal& proposal = proposals_[id];
  proposal.id = id;
  proposal.token = token;
  proposal.spread_patience = spread_patience;
  Proposer::Options options;
  options.repeat = Proposer::Repeat::kHarmless;
  proposal.proposer = std::make_unique<Proposer>(
      VoterSetsOf(view_->topology()),
      [first = VoterSetsOf(initial_->topology), documents = documents_](const std::string& value) {
        return VotersOf(documents.get(), first, value);
      },
      Ballot{next_round_++, view_->self()},
      [initial = initial_, change = std::move(change), documents = documents_,
       met = proposal.met](const std::string& current) -> absl::StatusOr<std::string> {
        DocumentPtr from = initial;
        if (!current.empty()) {
          absl::StatusOr<DocumentPtr> document = documents->Read(current);
          if (!document.ok()) return document.status();
          from = *std::move(document);
        }
        if (current.empty() && initial->topology.epoch != Epoch(1)) {
          return absl::UnavailableError("the voters have forgotten the topology");
        }
        *met = from->topology.epoch;
        absl::StatusOr<Topology> topology = change(from->topology);
        if (!topology.ok()) return topology.status();
        const bool changes = topology->epoch != *met;
        // Of an epoch there is one document.
        if (changes ? topology->epoch.value() != met->value() + 1 : *topology != from->topology) {
          return absl::InternalError("a change of the topology made a document of a wrong epoch");
        }
        if (changes && topology->voters != from->topology.voters) {
          topology->voters_before = from->topology.voters;
        }
        if (absl::Status sound = ValidateTopology(*topology); !sound.ok()) return sound;
        return documents->Of(*std::move(topology))->encoded;
      },
      options, Random(random_.Next()));
  Perform(&proposal, proposal.proposer->Start(now.monotonic), now);
}

void Control::Perform(Proposal* proposal, Proposer::Step step, Instant now) {
  proposal->wake = step.wake_up;
  next_round_ = std::max(next_round_, proposal->proposer->ballot().round + 1);
  for (Proposer::Step::Send& send : step.sends) {
    RegisterAsk ask{std::move(send.request)};
    Pack(send.to, &ask.request.value, &ask.delta);
    Send(send.to, proposal->id, std::move(ask));
  }
  if (step.outcome.has_value()) OnOutcome(proposal, *std::move(step.outcome), now);
}

void Control::OnOutcome(Proposal* proposal, RegisterOutcome outcome, Instant now) {
  if (outcome.kind != RegisterOutcome::Kind::kCommitted) {
    absl::Status status = std::move(outcome.status);
    if (outcome.kind != RegisterOutcome::Kind::kRefused) {
      std::string why = "no majority of the voters answered; ";
      why += outcome.kind == RegisterOutcome::Kind::kUnknown ? "the change may still take effect"
                                                             : "nothing was changed";
      if (memory_ == Memory::kUnknown) {
        why +=
            "; this node does not vote before every other one has been up, for none but all of "
            "them can say that it had no data directory before";
      }
      status = absl::UnavailableError(why);
    }
    Report(*proposal, std::move(status), outcome.kind == RegisterOutcome::Kind::kUnknown);
    const bool behind = *proposal->met > view_->epoch();
    proposals_.erase(proposal->id);
    // Somebody's change is in the register, and who made it may be gone before it told anybody.
    if (behind) {
      Begin(
          std::nullopt, [](const Topology& topology) { return topology; }, now, Duration());
    }
    return;
  }
  absl::StatusOr<DocumentPtr> document = documents_->Read(outcome.value);
  GYRE_CHECK(document.ok(), "a value is proposed, and taken from a promise, only if it is sound");
  proposal->committed = (*document)->topology;
  proposal->wake = now.monotonic + proposal->spread_patience;
  if ((*document)->topology.epoch > view_->epoch()) {
    return Install(*std::move(document), std::nullopt);
  }
  // It was known here already, and others have said to somebody else that they serve under it.
  if (proposal->spread_patience == Duration()) return;
  for (const Member& member : view_->topology().members) {
    if (member.id != view_->self()) AskWhatServes(member.id, now);
  }
}

void Control::Report(const Proposal& proposal, absl::StatusOr<Topology> topology, bool unknown) {
  if (proposal.token.has_value()) {
    out_.done.push_back({*proposal.token, std::move(topology), unknown});
  }
}

void Control::ReportConfirmed(Instant now) {
  for (auto it = proposals_.begin(); it != proposals_.end();) {
    Proposal& proposal = it->second;
    if (!proposal.committed.has_value() ||
        (!HasSpread(*proposal.committed) && proposal.wake > now.monotonic)) {
      ++it;
      continue;
    }
    Report(proposal, *std::move(proposal.committed), false);
    it = proposals_.erase(it);
  }
}

bool Control::HasSpread(const Topology& topology) const {
  return std::all_of(topology.members.begin(), topology.members.end(), [&](const Member& member) {
    if (member.state == MemberState::kDead) return true;
    if (member.id == view_->self()) {
      return !persisting_ && gathering_.empty() && installed_ >= topology.epoch;
    }
    auto it = serves_.find(member.id);
    return it != serves_.end() && it->second >= topology.epoch;
  });
}

// ------------------------------------------------------------------------------------------
// accepting

// What is to be sent from now on is held back until the new life is durable (Send).
void Control::BeginLife() {
  const uint64_t before = acceptor_.state().life;
  uint64_t life = 0;
  while (life == 0 || life == before) life = random_.Next();
  acceptor_.BeginLife(life);
  gathering_.Put(Family::kMeta, AcceptorKey(), EncodeAcceptorState(acceptor_.state()));
  memory_ = Memory::kWhole;
  began_life_ = true;
}

void Control::OnForgetful() {
  if (began_life_ || failed_) return;
  // What it answered since the start, it answered in a life that it had forgotten some of. Nobody
  // else has heard that; but this node's own proposals may have counted it.
  const auto is_answer = [](const Envelope& envelope) {
    return std::holds_alternative<RegisterAnswer>(envelope.message.body);
  };
  for (std::vector<Envelope>* sends : {&held_.sends, &in_flight_.sends, &out_.sends}) {
    std::erase_if(*sends, is_answer);
  }
  std::erase_if(to_self_, is_answer);
  for (auto it = proposals_.begin(); it != proposals_.end() && answers();) {
    const bool goes_on = it->second.committed.has_value();
    if (!goes_on) {
      const char* const why = "this node's data was put back; the change may still take effect";
      Report(it->second, absl::UnavailableError(why), /*unknown=*/true);
    }
    it = goes_on ? std::next(it) : proposals_.erase(it);
  }
  BeginLife();
}

void Control::OnProven() {
  if (memory_ == Memory::kUnknown) memory_ = Memory::kWhole;
}

void Control::OnRequest(NodeId from, ExchangeId exchange, const RegisterRequest& request) {
  if (!answers()) return;
  if (request.phase == RegisterPhase::kAccept && Admit(from, request.value) == nullptr) return;
  Acceptor::Answer answer = acceptor_.Handle(request);
  if (answer.state_changed) {
    gathering_.Put(Family::kMeta, AcceptorKey(), EncodeAcceptorState(acceptor_.state()));
  }
  RegisterAnswer reply{std::move(answer.reply)};
  Pack(from, &reply.reply.value, &reply.delta);
  Send(from, exchange, std::move(reply));
}

void Control::OnRegisterReply(NodeId from, ExchangeId exchange, const RegisterReply& reply,
                              Instant now) {
  auto it = proposals_.find(exchange);
  if (it == proposals_.end() || it->second.committed.has_value()) return;
  const bool promises_a_value =
      reply.phase == RegisterPhase::kPrepare && reply.granted && reply.accepted != Ballot();
  if (promises_a_value && Admit(from, reply.value) == nullptr) return;
  Perform(&it->second, it->second.proposer->OnReply(from, reply, now.monotonic), now);
}

// -------------------------------------------------------------------------------------------
// spreading

void Control::OnMessage(NodeId from, PeerMessage message, Instant now) {
  epochs_[from] = std::max(epochs_[from], message.epoch);
  if (auto* ask = std::get_if<RegisterAsk>(&message.body)) {
    if (!Unpack(from, &ask->request.value, ask->delta)) return;
    OnRequest(from, message.exchange, ask->request);
  } else if (auto* answer = std::get_if<RegisterAnswer>(&message.body)) {
    if (!Unpack(from, &answer->reply.value, answer->delta)) return;
    OnRegisterReply(from, message.exchange, answer->reply, now);
  } else if (auto* news = std::get_if<TopologyNews>(&message.body)) {
    OnNews(from, message.epoch, *news, now);
  } else if (auto* refused = std::get_if<Refused>(&message.body)) {
    OnNews(from, message.epoch, {std::move(refused->topology), std::move(refused->delta)}, now);
  }
}

void Control::OnNews(NodeId from, Epoch epoch, const TopologyNews& news, Instant now) {
  if (news.asks == TopologyNews::Asks::kWhole) wants_whole_.insert(from);
  const bool asks = news.asks != TopologyNews::Asks::kNothing;
  const bool carries = !news.topology.empty() || !news.delta.empty();
  if (!carries && !asks) serves_[from] = std::max(serves_[from], epoch);
  if (epoch > view_->epoch()) TakeNews(from, news, now);
  if (epoch < view_->epoch()) {
    Tell(from, now);
  } else if (epoch == view_->epoch() && (carries || asks)) {
    Confirm(from);
  }
}

void Control::TakeNews(NodeId from, const TopologyNews& news, Instant now) {
  DocumentPtr document;
  TopologyNews::Asks lacks = TopologyNews::Asks::kNothing;
  if (!news.topology.empty()) {
    document = Admit(from, news.topology);
  } else if (!news.delta.empty()) {
    document = Made(from, news.delta, &lacks);
  } else if (Takes(from, kLevelOfDeltas) &&
             (!asked_.has_value() || now.monotonic - *asked_ >= kTellAgainAfter)) {
    // Several say so at once, and one that answers is enough.
    lacks = TopologyNews::Asks::kNews;
  }
  if (document != nullptr) return Install(std::move(document), from);
  if (lacks == TopologyNews::Asks::kNothing) return;
  asked_ = now.monotonic;
  Ask(from, lacks);
}

DocumentPtr Control::Made(NodeId from, std::string_view delta, TopologyNews::Asks* lacks) {
  const absl::StatusOr<DeltaBase> base = BaseOf(delta);
  const DocumentPtr kept = base.ok() ? Kept(base->epoch) : nullptr;
  if (base.ok() && base->epoch != Epoch() && kept == nullptr) {
    *lacks = TopologyNews::Asks::kNews;  // it took this node to be elsewhere, and learns better
    return nullptr;
  }
  DocumentPtr document = Admit(from, documents_->Apply(kept, delta));
  if (document == nullptr) *lacks = TopologyNews::Asks::kWhole;
  return document;
}

void Control::Pack(NodeId to, std::string* value, std::string* delta) {
  if (value->empty() || to == view_->self() || !Takes(to, kLevelOfDeltasEverywhere)) return;
  const absl::StatusOr<DocumentPtr> document = documents_->Read(*value);
  // It was accepted by a newer build than this, which this node has gone back from since.
  if (!document.ok()) return;
  *delta = *documents_->Delta(wants_whole_.contains(to) ? nullptr : Kept(epochs_[to]), *document);
  value->clear();
}

bool Control::Unpack(NodeId from, std::string* value, const std::string& delta) {
  if (delta.empty()) return true;
  TopologyNews::Asks lacks = TopologyNews::Asks::kNothing;
  const DocumentPtr document = Made(from, delta, &lacks);
  if (document == nullptr) {
    Ask(from, lacks);
    return false;
  }
  *value = document->encoded;
  return true;
}

void Control::Ask(NodeId node, TopologyNews::Asks what) {
  if (!IsOlder(node, kLevelOfDeltas)) Send(node, 0, TopologyNews{"", "", what});
}

void Control::OnEpochOf(NodeId from, Epoch epoch, Instant now) {
  epochs_[from] = std::max(epochs_[from], epoch);
  if (epoch != view_->epoch()) Tell(from, now);
}

void Control::OnPeer(NodeId node, bool reachable, Instant) {
  // It may come back with another data directory, and know less than it did.
  epochs_.erase(node);
  serves_.erase(node);
  wants_whole_.erase(node);
  if (!reachable) levels_.erase(node);  // what it said already may be of this connection
  if (reachable) Confirm(node);         // whoever is behind is told by the other
}

// Once all shards and the door serve under the document: who waits for that may ask here next.
void Control::Confirm(NodeId node) {
  if (installed_ < view_->epoch()) {
    to_confirm_.insert(node);
  } else {
    Send(node, 0, Serving());
  }
}

void Control::OnInstalled(Epoch epoch) {
  installed_ = std::max(installed_, epoch);
  if (installed_ < view_->epoch()) return;
  for (NodeId node : std::exchange(to_confirm_, {})) Send(node, 0, Serving());
}

void Control::AskWhatServes(NodeId node, Instant now) {
  if (ServesUnder(node) >= view_->epoch() || WasToldLately(node, now)) return;
  if (Takes(node, kLevelOfDeltas)) return Ask(node, TopologyNews::Asks::kNews);
  SendDocument(node, Epoch());  // whoever has it says so
}

bool Control::WasToldLately(NodeId node, Instant now) {
  const auto [it, first] = told_.try_emplace(node, now.monotonic);
  if (!first && now.monotonic - it->second < kTellAgainAfter) return true;
  it->second = now.monotonic;
  return false;
}

void Control::Tell(NodeId node, Instant now) {
  if (WasToldLately(node, now)) return;
  if (epochs_[node] >= view_->epoch() && installed_ >= view_->epoch()) {
    return Send(node, 0, Serving());
  }
  SendDocument(node, epochs_[node]);
}

void Control::SendDocument(NodeId node, Epoch base) {
  TopologyNews news;
  if (Takes(node, kLevelOfDeltas)) {
    const bool whole = wants_whole_.erase(node) > 0;
    news.delta = *documents_->Delta(whole ? nullptr : Kept(base), kept_.back());
  } else {
    news.topology = kept_.back()->encoded;
  }
  Send(node, 0, std::move(news));
}

bool Control::IsOlder(NodeId node, BuildLevel level) const {
  const auto said = levels_.find(node);
  return said != levels_.end() && said->second < level;
}

bool Control::Takes(NodeId node, BuildLevel level) const {
  return view_->topology().level >= level && !IsOlder(node, level);
}

DocumentPtr Control::Kept(Epoch epoch) const {
  const auto it = std::find_if(kept_.begin(), kept_.end(), [&](const DocumentPtr& document) {
    return document->topology.epoch == epoch;
  });
  return it == kept_.end() ? nullptr : *it;
}

DocumentPtr Control::Admit(NodeId from, absl::StatusOr<DocumentPtr> document) {
  if (!document.ok()) {
    out_.rejected.push_back({from, std::string(document.status().message())});
    return nullptr;
  }
  const Topology& topology = (*document)->topology;
  const Topology& mine = view_->topology();
  if (topology.cluster != mine.cluster || topology.slices != mine.slices) {
    out_.rejected.push_back({from, "a document of another cluster"});
    return nullptr;
  }
  if (topology.level > level_) {
    out_.outgrown =
        absl::FailedPreconditionError("this node " + OutgrownWords(level_, topology.level));
    return nullptr;
  }
  return *std::move(document);
}

void Control::Install(DocumentPtr document, std::optional<NodeId> from) {
  if (document->topology.epoch <= view_->epoch()) return;
  gathering_.Put(Family::kMeta, TopologyKey(), document->encoded);
  std::shared_ptr<const std::string> delta;
  if (document->topology.level >= kLevelOfDeltasEverywhere) {
    delta = documents_->Delta(kept_.back(), document);
  }
  kept_.push_back(document);
  if (kept_.size() > kKeptDocuments) kept_.pop_front();
  const auto before =
      std::exchange(view_, View::Create(std::move(document), view_->self(), std::move(delta)));
  held_.view = view_;
  for (auto& [id, proposal] : proposals_) {
    proposal.proposer->SetKnown(VoterSetsOf(view_->topology()));
  }
  Spread(*before, from);
}

void Control::Spread(const View& before, std::optional<NodeId> from) {
  std::vector<NodeId> to_say;
  const auto tell = [&](NodeId other) {
    if (other == view_->self() || other == from) return;
    if (from.has_value() && Takes(other, kLevelOfDeltas)) {
      to_say.push_back(other);
    } else {
      SendDocument(other, before.epoch());
    }
  };
  // Who is a member no more is to know that. Both lists ascend.
  const std::vector<Member>& now = view_->topology().members;
  auto member = now.begin();
  for (const Member& former : before.topology().members) {
    for (; member != now.end() && member->id < former.id; ++member) tell(member->id);
    if (member != now.end() && member->id == former.id) ++member;
    tell(former.id);
  }
  for (; member != now.end(); ++member) tell(member->id);
  for (size_t i = 0; to_say.size() > kSayTo && i < kSayTo; ++i) {
    std::swap(to_say[i], to_say[i + random_.Below(to_say.size() - i)]);
  }
  if (to_say.size() > kSayTo) to_say.resize(kSayTo);
  for (NodeId other : to_say) {
    if (epochs_[other] < view_->epoch()) Confirm(other);
  }
}

// ------------------------------------------------------------------------------------ order and
// time

void Control::Send(NodeId to, ExchangeId exchange, PeerBody body) {
  Envelope envelope{to, {exchange, view_->epoch(), PartitionId(), std::move(body)}};
  if (!gathering_.empty()) {
    held_.sends.push_back(std::move(envelope));
  } else if (persisting_) {
    in_flight_.sends.push_back(std::move(envelope));
  } else {
    Release(std::move(envelope));
  }
}

void Control::Release(Envelope envelope) {
  if (envelope.to == view_->self()) {
    to_self_.push_back(std::move(envelope));
  } else {
    out_.sends.push_back(std::move(envelope));
  }
}

void Control::OnPersisted(const absl::Status& status) {
  GYRE_CHECK(persisting_, "a batch is persisted once");
  persisting_ = false;
  Held held = std::exchange(in_flight_, {});
  // A node whose disk fails promises nothing and serves by no newer document.
  if (!status.ok()) return OnDiskFailed();
  if (held.view != nullptr) out_.view = std::move(held.view);
  for (Envelope& envelope : held.sends) Release(std::move(envelope));
}

void Control::OnDiskFailed() {
  failed_ = true;
  for (const auto& [id, proposal] : std::exchange(proposals_, {})) {
    Report(proposal, absl::InternalError("the disk of this node failed"), true);
  }
}

void Control::OnWake(Instant now) {
  std::vector<ExchangeId> due;
  for (const auto& [id, proposal] : proposals_) {
    if (proposal.wake <= now.monotonic && !proposal.committed.has_value()) due.push_back(id);
  }
  for (ExchangeId id : due) {
    Proposal& proposal = proposals_.at(id);
    Perform(&proposal, proposal.proposer->OnTimer(now.monotonic), now);
  }
}

ControlEffects Control::TakeEffects(Instant now) {
  while (!to_self_.empty()) {
    Envelope envelope = std::move(to_self_.front());
    to_self_.pop_front();
    OnMessage(envelope.to, std::move(envelope.message), now);
  }
  ReportConfirmed(now);
  if (!persisting_ && !gathering_.empty()) {
    out_.persist = std::exchange(gathering_, {});
    in_flight_ = std::exchange(held_, {});
    persisting_ = true;
  }
  for (const auto& [id, proposal] : proposals_) out_.wake = std::min(out_.wake, proposal.wake);
  return std::exchange(out_, {});
}

}  // namespace gyre
