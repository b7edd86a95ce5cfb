// RequestPath: the way of a put and of a get through a cluster of three, on one thread and without
// sockets: from the bytes of a client's frame to the bytes of its answer, over the frames between
// the peers and RocksDB's write and read. What is left out is gRPC, the kernel, and waiting.
//
//   RequestPath path("/tmp/scratch", {.value_bytes = 1000});
//   const RequestPath::Script puts = path.Puts(0, 6400, 1);
//   path.Run(puts);        // what guard.sh counts the instructions of
//
// The same script costs the same instructions in every run, but for RocksDB's dice (the heights of
// its skip list). Thread rule: one thread.

#ifndef GYRE_TEST_BENCH_REQUEST_PATH_H_
#define GYRE_TEST_BENCH_REQUEST_PATH_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/proto/frame_arena.h"
#include "api/proto/gyre.pb.h"
#include "api/proto/peer.pb.h"
#include "ring/view.h"
#include "server/node.h"
#include "storage/rocks_engine.h"

namespace gyre {

class RequestPath {
 public:
  struct Options {
    size_t value_bytes = 1000;
    size_t frame_requests = 64;  // of a client's frame, and so about of a commit
    bool fsync = false;          // what a device takes is not a matter of instructions
    int shards = 1;              // of each node
  };

  // What Run has counted so far, over all nodes.
  struct Counts {
    uint64_t messages = 0;  // between nodes
    uint64_t frames = 0;    // that carried them: one for each shard, peer and round
    uint64_t commits = 0;   // of shards
    uint64_t groups = 0;    // writes to the store, each of all commits of a node's round
    // By shard: messages and requests that it stepped.
    std::vector<uint64_t> steps;
  };

  // Frames as a client sends them, each with the node that it goes to.
  struct Script {
    struct Frame {
      size_t node = 0;
      std::string bytes;
    };
    std::vector<Frame> frames;
    size_t requests = 0;
  };

  // Makes three nodes with a store each below `directory`. REQUIRES: it can be written.
  RequestPath(const std::string& directory, Options options);

  // A put, or a get, of each key from `first` on, at its first owner. Two scripts of one writer
  // that put one key make one write of it: the second is a retry.
  Script Puts(uint64_t first, uint64_t count, char writer) const {
    return Make(first, count, writer);
  }
  Script Gets(uint64_t first, uint64_t count) const { return Make(first, count, std::nullopt); }

  // Frame after frame, one to each node at a time. Checks that every request is answered with
  // success. Answers the bytes of all answers.
  size_t Run(const Script& script);

  const Counts& counts() const { return counts_; }

 private:
  struct Asked {
    bool put = false;
    uint64_t key_hash = 0;
  };
  struct Host {
    std::unique_ptr<RocksEngine> engine;
    std::unique_ptr<Node> node;
    std::shared_ptr<const View> view;
    // Frames that wait for the node's next round, each with its sender.
    std::vector<std::pair<size_t, std::string>> inbox;
    std::map<Token, Asked> asked;  // in flight
    v1::ServerFrame answers;
  };

  Script Make(uint64_t first, uint64_t count, std::optional<char> writer) const;
  void TakeClientFrame(Host* host, const std::string& bytes);
  // One round of a node's shards; false when nothing happened.
  bool Round(size_t index);
  void TakeIn(Host* host, size_t from, const std::string& frame);
  void Send(size_t index, const std::vector<Envelope>& sends);
  void Commit(Host* host, std::vector<ShardEffects>* effects);
  void Answer(Host* host, std::vector<ShardEffects::Reply> replies);

  // As much as gyred keeps for each.
  FrameArena<v1::ClientFrame> client_frames_{4 << 10};
  FrameArena<peer::PeerFrame> read_frames_{32 << 10};
  FrameArena<peer::PeerFrame> written_frames_{32 << 10};

  const Options options_;
  std::vector<Host> hosts_;
  Instant now_{Time::FromMicros(1), 1'000'000};
  Token next_token_ = 1;
  Counts counts_;
};

}  // namespace gyre

#endif  // GYRE_TEST_BENCH_REQUEST_PATH_H_
