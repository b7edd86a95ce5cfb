// Control: this node's part in the one topology document. It is an acceptor of the register that
// holds it, whether or not the document counts it among its voters; it proposes changes for
// clients, and spreads the newest document. Pure, stepped like a Shard.
//
// Order: what an acceptor promised is durable before its answer leaves; a new document is durable
// here before anything is served by it. Control holds its messages until the performer says so
// (OnPersisted).
//
// Where its data directory is not known to hold all that the acceptor ever promised and accepted,
// the acceptor is silent; and once it is known that it does not, it begins another life
// (ring/voter.h) and votes again when it is voted in anew, for which Movement proposes. What it
// holds it keeps: that is more than nothing.
//
// No peer is trusted to send a document that is whole: what is not is neither accepted, nor counted
// as a promise, nor installed.
//
// Spreading: whoever made a change sends it to everyone, as a delta from the document before
// (ring/topology_delta.h). Who got it says to a few others that it serves under it, and those who
// have missed it ask; so what a node sends for a change does not grow with the cluster, but for the
// one that made it. Who lacks the base of a delta asks too, with the epoch that it has. What all of
// that misses, Membership finds (OnEpochOf). All of that once the cluster is of kLevelOfDeltas
// (ring/build_level.h); before, whoever learns of a document sends the whole to everyone. In the
// register's messages documents are deltas too, from what the other side has said it knows, once
// the cluster is of kLevelOfDeltasEverywhere; who cannot make one out asks for the whole, and the
// proposer's next attempt has it.
//
// Levels: a document of a higher level than this node's is not installed, nor accepted: the node
// has to end (ControlEffects::outgrown).
//
// Thread rule: one thread.

#ifndef GYRE_SERVER_CONTROL_H_
#define GYRE_SERVER_CONTROL_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "replication/message.h"
#include "ring/build_level.h"
#include "ring/documents.h"
#include "ring/ids.h"
#include "ring/random.h"
#include "ring/register.h"
#include "ring/topology.h"
#include "ring/view.h"
#include "storage/engine.h"
#include "storage/identity.h"

namespace gyre {

// How long an owner of the newest document is waited for before a change is reported as done, so
// that what the client does next meets nodes that know of it.
inline constexpr Duration kSpreadPatience = Duration::Seconds(1);

// How many documents a node keeps to make deltas from and to apply them to. Who has missed more is
// sent the whole. Each takes a few hundred kilobytes where there are a thousand nodes.
inline constexpr size_t kKeptDocuments = 8;

// To how many nodes one says that it serves under a document, besides who sent it.
inline constexpr size_t kSayTo = 8;

struct ControlEffects {
  struct Done {
    uint64_t token = 0;
    // The document that holds the change, or why there is none: what the change itself refused
    // with, UNAVAILABLE without a majority, INTERNAL where the disk of this node failed.
    absl::StatusOr<Topology> topology;
    bool outcome_unknown = false;  // a change that failed may still take effect
  };
  std::optional<WriteBatch> persist;  // written with a sync; ends in OnPersisted. One at a time.
  std::vector<Envelope> sends;
  std::shared_ptr<const View> view;  // a newer one is in force: tell every shard, then the door
  std::vector<Done> done;
  // What came from peers and was dropped, for it is no document of this cluster.
  struct Rejected {
    NodeId from;
    std::string why;
  };
  std::vector<Rejected> rejected;
  // The cluster is of a level that this node is not of: it can serve no more. Says what to do.
  std::optional<absl::Status> outgrown;
  Time wake = Time::Never();
};

class Control {
 public:
  using Change = std::function<absl::StatusOr<Topology>(const Topology&)>;

  // Whether what the acceptor holds is all that it ever held in the life that it has.
  enum class Memory : uint8_t {
    kWhole,
    kUnknown,  // nobody has said yet
    kLost,     // it is not, and a new life is to begin
  };

  // `initial`: the document of epoch 1, the same on every node; or, at a node that joins, a newer
  // one that was chosen. Of that the voters know, and where they do not, changes are refused here.
  // `documents` may be shared with others on the same thread. `level`: as which this node behaves.
  // REQUIRES: the view is of none above it.
  Control(std::shared_ptr<const View> view, Topology initial, AcceptorState acceptor, Memory memory,
          Random random, std::shared_ptr<Documents> documents = std::make_shared<Documents>(),
          BuildLevel level = kBuildLevel);

  // What Control needs from the store at start: the newest document that is durable here, and the
  // acceptor's state.
  struct Durable {
    Topology topology;
    AcceptorState acceptor;
    Memory memory = Memory::kWhole;
  };
  // `initial` is used where the store holds no document; `standing` is that of the data directory.
  // DATA_LOSS when what is there is malformed.
  static absl::StatusOr<Durable> Load(const Snapshot& snapshot, const Topology& initial,
                                      Standing standing);

  // The newest document that is durable, if any. DATA_LOSS when it is malformed.
  static absl::StatusOr<std::optional<Topology>> LoadTopology(const Snapshot& snapshot);
  // To be written before the first start of a node that was told of the document by others.
  static WriteBatch StoreBatch(const Topology& topology);

  // Applies `change` to the newest document in the cluster. It must be a pure function of its
  // argument, and harmless to do twice: creating what is there, dropping what is gone. Once it is
  // made, it is reported when all nodes serve under it, or `spread_patience` has passed.
  void Propose(uint64_t token, Change change, Instant now,
               Duration spread_patience = kSpreadPatience);
  void OnMessage(NodeId from, PeerMessage message, Instant now);
  // A message showed that `from` serves under another epoch than this node.
  void OnEpochOf(NodeId from, Epoch epoch, Instant now);
  // The level that a peer said as it was connected, before OnPeer says that it is reachable. It is
  // forgotten when it is no more: the peer may come back as another build.
  void OnLevel(NodeId node, BuildLevel level) { levels_[node] = level; }
  void OnPeer(NodeId node, bool reachable, Instant now);
  void OnPersisted(const absl::Status& status);
  // The disk failed under what a view needs. As when OnPersisted says so: nothing newer will be in
  // force here before the process starts again, and whoever waits for a change is told at once.
  void OnDiskFailed();
  // Every peer that can be reached has said what it knows of this node's data directory. Before
  // that the acceptor is silent: the directory may have been put back to an earlier state.
  void OnHeardPeers() { heard_peers_ = true; }
  // A peer knows that this data directory holds less than this node had. A new life begins, once in
  // the life of this object: what the directory holds is not exchanged beneath it.
  void OnForgetful();
  // The data directory is the node's first: it has lost nothing.
  void OnProven();
  // Everything at this node serves under `epoch`: the view that an effect carried is in force.
  void OnInstalled(Epoch epoch);
  void OnWake(Instant now);

  // What a node has said that it serves under, since it was connected last; 0: nothing.
  Epoch ServesUnder(NodeId node) const {
    const auto it = serves_.find(node);
    return it == serves_.end() ? Epoch() : it->second;
  }

  BuildLevel level() const { return level_; }
  // What the nodes that are connected have said, and this one.
  const std::map<NodeId, BuildLevel>& levels() const { return levels_; }

  // Has it say so again: what it said may have been lost.
  void AskWhatServes(NodeId node, Instant now);

  // In which the acceptor may be voted in; nothing, while that is not known.
  std::optional<uint64_t> life() const {
    if (memory_ == Memory::kUnknown) return std::nullopt;
    return acceptor_.state().life;
  }

  ControlEffects TakeEffects(Instant now);
  const std::shared_ptr<const View>& view() const { return view_; }

 private:
  struct Proposal {
    ExchangeId id = 0;
    std::optional<uint64_t> token;  // none: nobody waits for it
    // Of the newest document that the change was asked about.
    std::shared_ptr<Epoch> met = std::make_shared<Epoch>();
    std::unique_ptr<Proposer> proposer;
    Duration spread_patience;
    Time wake = Time::Never();
    // After the commit, until the document has spread.
    std::optional<Topology> committed;
  };

  void Begin(std::optional<uint64_t> token, Change change, Instant now, Duration spread_patience);
  void Report(const Proposal& proposal, absl::StatusOr<Topology> topology, bool unknown);
  void Perform(Proposal* proposal, Proposer::Step step, Instant now);
  void OnOutcome(Proposal* proposal, RegisterOutcome outcome, Instant now);
  void OnRequest(NodeId from, ExchangeId exchange, const RegisterRequest& request);
  void OnRegisterReply(NodeId from, ExchangeId exchange, const RegisterReply& reply, Instant now);
  // Whether the acceptor does.
  bool answers() const { return memory_ == Memory::kWhole && heard_peers_ && !failed_; }
  void BeginLife();
  void OnNews(NodeId from, Epoch epoch, const TopologyNews& news, Instant now);
  // What came with it, installed; or, where that cannot be, asked for.
  void TakeNews(NodeId from, const TopologyNews& news, Instant now);
  // A document that came from `from`, or null, said in `rejected`, where it is malformed or no
  // document of this cluster.
  DocumentPtr Admit(NodeId from, absl::StatusOr<DocumentPtr> document);
  // The document that a delta makes; or null, and what is to be asked for, if anything.
  DocumentPtr Made(NodeId from, std::string_view delta, TopologyNews::Asks* lacks);
  // A value of the register on its way to a node, as a delta where it may be one.
  void Pack(NodeId to, std::string* value, std::string* delta);
  // And as it came. False where it cannot be made out; then the whole is asked for.
  bool Unpack(NodeId from, std::string* value, const std::string& delta);
  // It has said that it does not know what came with the level. In a cluster of that level it is
  // one that was declared dead, and goes on.
  bool IsOlder(NodeId node, BuildLevel level) const;
  // Whether it may be sent that: the cluster uses it, and it is not older.
  bool Takes(NodeId node, BuildLevel level) const;
  DocumentPtr Admit(NodeId from, const std::string& encoded) {
    return Admit(from, documents_->Read(encoded));
  }
  // `from`: who sent it; none: it was made here.
  void Install(DocumentPtr document, std::optional<NodeId> from);
  // Tells everyone of the newest document, which has been installed.
  void Spread(const View& before, std::optional<NodeId> from);
  // The newest document, as a delta where it may be. `base`: of what the node has.
  void SendDocument(NodeId node, Epoch base);
  // Null where it is not kept.
  DocumentPtr Kept(Epoch epoch) const;
  // REQUIRES: Takes(node, kLevelOfDeltas), or it has sent a delta itself.
  void Ask(NodeId node, TopologyNews::Asks what);
  // Tells a node that this one serves under the newest document, once it does.
  void Confirm(NodeId node);
  // Sends the newest document to a node that is behind, unless that was done a moment ago.
  void Tell(NodeId node, Instant now);
  // Whether it was sent the document a moment ago; else it counts as sent now.
  bool WasToldLately(NodeId node, Instant now);
  void Send(NodeId to, ExchangeId exchange, PeerBody body);
  void Release(Envelope envelope);
  // Reports the proposals that everyone has confirmed, or that have waited for long enough.
  void ReportConfirmed(Instant now);
  // Whether every member but the dead is known to serve under it, or a later one.
  bool HasSpread(const Topology& topology) const;

  const std::shared_ptr<Documents> documents_;
  std::shared_ptr<const View> view_;
  std::deque<DocumentPtr> kept_;  // the last few, at most kKeptDocuments; the last is the view's
  Acceptor acceptor_;
  Memory memory_;  // kUnknown or kWhole
  bool began_life_ = false;
  bool heard_peers_ = false;
  const DocumentPtr initial_;  // of epoch 1: what the register holds before the first change
  Random random_;
  uint64_t next_round_ = 1;
  ExchangeId next_exchange_ = 1;
  std::map<ExchangeId, Proposal> proposals_;
  std::map<NodeId, Epoch> epochs_;  // of the others, as last heard
  std::map<NodeId, Epoch> serves_;  // what they have confirmed
  Epoch installed_;
  std::set<NodeId> to_confirm_;  // once `installed_` is the newest
  std::map<NodeId, Time> told_;  // when a newer document was last sent to whom
  const BuildLevel level_;
  std::map<NodeId, BuildLevel> levels_;
  std::set<NodeId> wants_whole_;  // a delta did not fit there
  std::optional<Time> asked_;     // somebody, for a newer document, when

  bool failed_ = false;  // for the life of this object

  // What must be durable before what is held may leave. `gathering_` is the next batch.
  WriteBatch gathering_;
  bool persisting_ = false;
  struct Held {
    std::vector<Envelope> sends;
    std::shared_ptr<const View> view;
  };
  Held held_;                     // waits for `gathering_`
  Held in_flight_;                // waits for the batch under way
  std::deque<Envelope> to_self_;  // served by the next TakeEffects
  ControlEffects out_;
};

}  // namespace gyre

#endif  // GYRE_SERVER_CONTROL_H_
